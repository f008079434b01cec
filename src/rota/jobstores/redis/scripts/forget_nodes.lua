-- Forget some nodes whose lease was over before an instant.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  instant, how many at most
-- Returns  how many

local f = fields(ARGV[1])
local gone = call('ZRANGEBYSCORE', NODES, '-inf', '(' .. f[1], 'LIMIT', 0, f[2])
each('ZREM', NODES, gone)
each('HDEL', ANSWERS, gone)
local fields = {}
for i, node in ipairs(gone) do fields[2 * i - 1], fields[2 * i] = 'length ' .. node, 'renewals ' .. node end
each('HDEL', META, fields)
return #gone
