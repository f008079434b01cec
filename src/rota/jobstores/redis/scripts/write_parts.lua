-- Keep texts beside the records of some runs; those of a run that has no record are not kept.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  for each run id, nominal time, number of its parts, and for each of these its name, whether it is kept (empty: it goes)
--          and its text
-- Returns  how many runs have a record

local f, n = fields(ARGV[1])
local i, kept = 1, 0
while i <= n do
  local key, parts = f[i] .. '\0' .. f[i + 1], tonumber(f[i + 2])
  if call('HEXISTS', CLAIMED, key) == 1 or call('HEXISTS', RUNS, key) == 1 then
    local names, known = fields(call('HGET', PARTS, key) or ''), {}
    for _, name in ipairs(names) do known[name] = true end
    local written, gone = {}, {}
    for first = i + 3, i + 2 + 3 * parts, 3 do
      local name, field = f[first], key .. '\0' .. f[first]
      if f[first + 1] ~= '' then
        if not known[name] then known[name] = true; names[#names + 1] = name end
        written[#written + 1] = field
        written[#written + 1] = f[first + 2]
      else
        known[name] = nil
        gone[#gone + 1] = field
      end
    end
    local left = ''
    for _, name in ipairs(names) do
      if known[name] then left = left .. name .. '\0' end
    end
    each('HSET', PARTS, written)
    each('HDEL', PARTS, gone)
    if left == '' then call('HDEL', PARTS, key) else call('HSET', PARTS, key, left) end
    kept = kept + 1
  end
  i = i + 3 + 3 * parts
end
return kept
