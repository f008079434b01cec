-- Look at a part of the keys that runs were asked for with: those that hold no more are deleted.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  cursor, about how many, the instant from which on keys hold
-- Returns  the next cursor

local f = fields(ARGV[1])
local step = call('HSCAN', ASKED, f[1], 'COUNT', f[2])
local over = {}
for i = 1, #step[2], 2 do
  local at = tonumber(match(step[2][i + 1], ' (%-?%d+)$') or '')
  if not at or at < tonumber(f[3]) then over[#over + 1] = step[2][i] end
end
each('HDEL', ASKED, over)
return step[1]
