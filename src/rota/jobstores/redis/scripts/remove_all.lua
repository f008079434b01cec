-- Remove all jobs.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  nothing
-- Returns  a number that means nothing

-- include _remove

local all = call('HGETALL', STATES)
for i = 1, #all, 2 do remove(all[i], all[i + 1]) end
return #all
