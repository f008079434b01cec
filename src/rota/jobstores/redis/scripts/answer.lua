-- Answer a question, or return the answer to it.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id, the instant from which on questions count; the answer
-- Returns  the answer; nothing if there is none, or the question is gone

-- include _requests

local f = fields(ARGV[1])
if not requests_from(tonumber(f[2]))[f[1]] then return nil end
if f[3] then call('HSET', REPLIES, f[1], f[3]) end
return call('HGET', REPLIES, f[1])
