-- Return a part of the runs under way, and their jobs, as orphans.lua does. A key that no run has is set aside.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  cursor, about how many
-- Returns  the next cursor; id, nominal time and document of each run; id, state and spec of each job; each ended by a NUL

local f = fields(ARGV[1])
local step = call('HSCAN', CLAIMED, f[1], 'COUNT', f[2])
local runs, ids, seen, jobs = {}, {}, {}, {}
for i = 1, #step[2], 2 do
  local key, document = step[2][i], step[2][i + 1]
  if is_key(key) then
    runs[#runs + 1] = key .. '\0' .. shown(document) .. '\0'
    local id = match(key, '^[^%z]*')
    if not seen[id] then seen[id] = true; ids[#ids + 1] = id end
  else
    keep(key, document)
    call('HDEL', CLAIMED, key)
  end
end
local states, specs = get(STATES, ids), get(JOBS, ids)
for i, id in ipairs(ids) do
  jobs[i] = table.concat({id, shown(states[i] or ''), shown(specs[i] or ''), ''}, '\0')
end
return {step[1], table.concat(runs), table.concat(jobs)}
