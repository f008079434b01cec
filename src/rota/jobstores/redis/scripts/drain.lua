-- Have a node claim nothing more, or claim again.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  node, now (empty: it claims again)
-- ARGV[2]  the origin that wake-ups carry
-- Returns  1, or 0 if there is no such node

local f = fields(ARGV[1])
if not call('ZSCORE', NODES, f[1]) then return 0 end
if f[2] == '' then call('HDEL', META, 'draining ' .. f[1]) else call('HSET', META, 'draining ' .. f[1], f[2]) end
call('PUBLISH', WAKE, ARGV[2])
return 1
