-- Return the earliest time at which a waiting run may start.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  nothing
-- Returns  the time; nothing if none waits

return call('ZRANGE', WAITING_JOBS, 0, 0, 'WITHSCORES')[2]
