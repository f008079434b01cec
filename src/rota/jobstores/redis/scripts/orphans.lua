-- Return the claimed runs that no living node owns, and their jobs. The counts of these jobs are put right.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  now, the node that asks, whether its own runs count too (empty: no), whether those of nodes that seem to be dead
--          are left out (empty: no)
-- Returns  id, nominal time and document of each run; id, state and spec of each job; each ended by a NUL. Nothing if the
--          lease of the node that asks is over

-- include _alive

local f = fields(ARGV[1])
local now = tonumber(f[1])
local mine = call('ZSCORE', NODES, f[2])
if not mine or tonumber(mine) < now then return {'', ''} end
local others, runs, ids, seen = {}, {}, {}, {}
local all = call('HGETALL', CLAIMED)
counted = {}
for i = 1, #all, 2 do
  local key, document = all[i], all[i + 1]
  local owner = owner_of(document) or '\1'
  if not is_key(key) then  -- no run has such a key
    keep(key, document)
    call('HDEL', CLAIMED, key)
    owner = '\2'
    others[owner] = true
  else
    local of = match(key, '^[^%z]*')
    counted[of] = (counted[of] or 0) + 1
  end
  if others[owner] == nil then
    if owner == '\1' then
      others[owner] = false
    elseif owner == '' then
      others[owner] = false
    elseif owner == f[2] then
      others[owner] = f[3] == ''
    else
      others[owner] = f[4] ~= '' or is_alive(owner, now)
    end
  end
  if not others[owner] then
    runs[#runs + 1] = key .. '\0' .. shown(document) .. '\0'
    local id = match(key, '^[^%z]*')
    if not seen[id] then seen[id] = true; ids[#ids + 1] = id end
  end
end
local states, specs, jobs = get(STATES, ids), get(JOBS, ids), {}
for i, id in ipairs(ids) do
  local state = states[i]
  if state then
    local version, running, rest = parse(state)
    if version ~= '-1' and running ~= counted[id] then  -- the runs are right
      state = make(version, counted[id], rest)
      call('HSET', STATES, id, state)
    end
  end
  jobs[i] = table.concat({id, shown(state or ''), shown(specs[i] or ''), ''}, '\0')
end
return {table.concat(runs), table.concat(jobs)}
