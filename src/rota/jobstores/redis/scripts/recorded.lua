-- Return the records of a job around a nominal time, and its runs under way (R4).
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id, nominal time, how many before it, how many from it on
-- Returns  nominal time and document of each, each ended by a NUL

local f = fields(ARGV[1])
local id, found = f[1], {}
local beginning = id .. '\0'
local function show_all(keys, key)
  local documents = get(key, keys)
  for i, name in ipairs(keys) do
    if documents[i] and is_key(name) then
      found[#found + 1] = sub(name, #beginning + 1) .. '\0' .. shown(documents[i]) .. '\0'
    end
  end
end
local since = beginning .. f[2]
local current = {}
for _, name in ipairs(call('HKEYS', CLAIMED)) do
  if starts(name, beginning) then current[#current + 1] = name end
end
show_all(current, CLAIMED)
show_all(call('ZREVRANGEBYLEX', BY_JOB, '(' .. since, '[' .. beginning, 'LIMIT', 0, f[3]), RUNS)
show_all(call('ZRANGEBYLEX', BY_JOB, '[' .. since, '(' .. id .. '\1', 'LIMIT', 0, f[4]), RUNS)
return table.concat(found)
