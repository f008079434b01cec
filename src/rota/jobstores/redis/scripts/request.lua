-- Ask a node for something.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id, the instant from which on questions are kept; node, kind, now, job, nominal time (both empty: it is about no run)
-- ARGV[2]  the origin that wake-ups carry
-- Returns  how many questions are new

-- include _requests

local f = fields(ARGV[1])
requests_from(tonumber(f[2]))
call('PUBLISH', WAKE, ARGV[2])
return call('HSET', REQUESTS, f[1], table.concat({f[3], f[4], f[5], f[6], f[7], ''}, '\0'))
