-- Forget some nodes whose lease was over before an instant.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  instant, how many at most
-- Returns  how many

local f = fields(ARGV[1])
local gone = call('ZRANGEBYSCORE', NODES, '-inf', '(' .. f[1], 'LIMIT', 0, f[2])
each('ZREM', NODES, gone)
each('HDEL', ANSWERS, gone)
local kept = {}
for _, node in ipairs(gone) do
  for _, what in ipairs({'length ', 'renewals ', 'started ', 'about ', 'draining '}) do kept[#kept + 1] = what .. node end
end
each('HDEL', META, kept)
return #gone
