-- Keep what a node says of itself, if it has a lease.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  node, text
-- Returns  1, or 0 if it has none

local f = fields(ARGV[1])
if not call('ZSCORE', NODES, f[1]) then return 0 end
call('HSET', META, 'about ' .. f[1], f[2])
return 1
