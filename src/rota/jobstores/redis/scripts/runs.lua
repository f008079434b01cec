-- Return records and runs under way.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id (empty: of all jobs), how many of each status at most, statuses
-- Returns  id, nominal time and document of each, each ended by a NUL

local f, n = fields(ARGV[1])
local limit, wanted, found = tonumber(f[2]), {}, {}
for i = 3, n do wanted[f[i]] = true end
if wanted['claimed'] then
  local all, beginning = call('HGETALL', CLAIMED), f[1] .. '\0'
  for i = 1, #all, 2 do
    if (f[1] == '' or starts(all[i], beginning)) and is_key(all[i]) then
      found[#found + 1] = all[i] .. '\0' .. shown(all[i + 1]) .. '\0'
    end
  end
end
if f[1] == '' then
  for i = 3, n do
    local keys = call('ZREVRANGE', STATUS .. f[i], 0, limit - 1)
    local documents = get(RUNS, keys)
    for k, key in ipairs(keys) do
      if documents[k] and is_key(key) then found[#found + 1] = key .. '\0' .. shown(documents[k]) .. '\0' end
    end
  end
  return table.concat(found)
end
local offset, count = 0, 0
while count < limit do
  local keys = call('ZREVRANGEBYLEX', BY_JOB, '(' .. f[1] .. '\1', '[' .. f[1] .. '\0', 'LIMIT', offset, 500)
  local documents = get(RUNS, keys)
  for i, key in ipairs(keys) do
    local document = documents[i]
    if document and count < limit and wanted[match(document, '^{"status":"([%l_]+)"')] and is_key(key) then
      found[#found + 1] = key .. '\0' .. shown(document) .. '\0'
      count = count + 1
    end
  end
  if #keys < 500 then break end
  offset = offset + 500
end
return table.concat(found)
