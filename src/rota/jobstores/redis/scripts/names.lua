-- Return the names and callables of jobs.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  ids
-- Returns  id, name and reference of each, each ended by a NUL

local ids = fields(ARGV[1])
local specs, found = get(JOBS, ids), {}
for i, id in ipairs(ids) do
  local whole, parts = pcall(cjson.decode, specs[i] or '')
  if whole and type(parts) == 'table' and type(parts[2]) == 'string' and type(parts[3]) == 'string' then
    found[#found + 1] = table.concat({id, shown(parts[2]), shown(parts[3]), ''}, '\0')
  end
end
return table.concat(found)
