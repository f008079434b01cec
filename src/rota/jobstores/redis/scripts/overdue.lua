-- Count the due jobs of executors that are not known.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  now, known executors
-- Returns  executor and number of each

local f, n = fields(ARGV[1])
local known, found = {}, {}
for i = 2, n do known[f[i]] = true end
for _, name in ipairs(call('SMEMBERS', EXECUTORS)) do
  if not known[name] then
    local waiting = call('ZCOUNT', TIMES .. name, '-inf', f[1])
    if waiting > 0 then found[#found + 1] = name; found[#found + 1] = waiting end
  end
end
return found
