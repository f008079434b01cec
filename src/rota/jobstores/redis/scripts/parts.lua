-- Return what is kept beside some records.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id and nominal time of each run
-- Returns  for each how many texts follow; name and text of each part

-- include _parts

local f, n = fields(ARGV[1])
local found = {}
for i = 1, n, 2 do
  local parts = parts_of(f[i] .. '\0' .. f[i + 1])
  found[#found + 1] = tostring(#parts)
  for _, part in ipairs(parts) do found[#found + 1] = part end
end
return found
