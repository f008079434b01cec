-- Return the earliest due time.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  executors (none: all)
-- Returns  the time, nothing if there is none

local names, n = fields(ARGV[1])
if n == 0 then names = call('SMEMBERS', EXECUTORS) end
local earliest
for _, name in ipairs(names) do
  local first = call('ZRANGE', TIMES .. name, 0, 0, 'WITHSCORES')
  if first[1] and (not earliest or tonumber(first[2]) < tonumber(earliest)) then earliest = first[2] end
end
return earliest
