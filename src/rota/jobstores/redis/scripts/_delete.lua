-- Delete records.

-- Delete what is kept beside some records.
local function delete_parts(keys)
  local names, gone = get(PARTS, keys), {}
  for i, key in ipairs(keys) do
    if names[i] then
      gone[#gone + 1] = key
      for _, name in ipairs((fields(names[i]))) do gone[#gone + 1] = key .. '\0' .. name end
    end
  end
  each('HDEL', PARTS, gone)
end

local function delete(status, keys)
  each('ZREM', STATUS .. status, keys)
  each('ZREM', BY_JOB, keys)
  delete_parts(keys)
  each('HDEL', RUNS, keys)
end
