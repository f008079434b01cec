-- Keep what is left of the backfill of a job, if that is still as it was looked at.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id under which it is kept, the instant from which on questions count, job id, instant; what is left, what was looked at
--          (both empty: nothing)
-- ARGV[2]  the origin that wake-ups carry
-- Returns  whether it was as it was looked at ("1" or "0")

-- include _requests

local f = fields(ARGV[1])
requests_from(tonumber(f[2]))
local request = fields(call('HGET', REQUESTS, f[1]) or '')
local reply = call('HGET', REPLIES, f[1]) or ''
-- What is damaged stands in the way of no other.
local is_sound = request[1] == '*' and request[4] == f[3] and not match(reply, '%z')
if (is_sound and reply or '') ~= f[6] then return '0' end
if f[5] == '' then
  call('HDEL', REQUESTS, f[1])
  call('HDEL', REPLIES, f[1])
else
  call('HSET', REQUESTS, f[1], table.concat({'*', 'backfill', f[4], f[3], '', ''}, '\0'))
  call('HSET', REPLIES, f[1], f[5])
end
call('PUBLISH', WAKE, ARGV[2])
return '1'
