-- Return the earliest nominal time of the runs that have not ended.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  nothing
-- Returns  the time; nothing if there are none

-- include _records

local least
for _, run in ipairs(under_way_within(-math.huge, math.huge)) do
  if not least or run.score < least.score then least = run end
end
local waiting = call('ZRANGE', STATUS .. 'waiting', 0, 0)[1]
waiting = waiting and nominal_of(waiting)
if waiting and (not least or tonumber(score(waiting)) < least.score) then return waiting end
return least and least.nominal or nil
