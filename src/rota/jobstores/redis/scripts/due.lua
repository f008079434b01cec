-- Return the jobs that are due.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  now; executors, each with how many at most (none: all of all executors)
-- Returns  id, spec and state of each, each ended by a NUL

local f, n = fields(ARGV[1])
local now, found = f[1], {}
if n == 1 then
  for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do f[n + 1] = executor; f[n + 2] = '-1'; n = n + 2 end
end
for e = 2, n, 2 do
  local ids = call('ZRANGEBYSCORE', TIMES .. f[e], '-inf', now, 'LIMIT', 0, f[e + 1])
  if #ids > 0 then
    local states, specs = get(STATES, ids), get(JOBS, ids)
    for i = 1, #ids do
      if states[i] and not match(states[i], '^%[%d+,%-?%d+,"[^a]') and is_job(specs[i], states[i]) then
        show(found, ids[i], specs[i], states[i])
      else
        call('ZREM', TIMES .. f[e], ids[i])
      end
    end
  end
end
return table.concat(found)
