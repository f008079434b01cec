-- Keep texts beside the records of some runs; those of a run that has no record, or that another node has, are not kept.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  how a document names the node whose runs they are (empty: anybody's); for each run id, nominal time, number of its parts, and for each of these its name, whether it is kept (empty: it goes)
--          and its text
-- Returns  how many runs they are kept of

-- Whether a document names an owner.
local function is_of(owner, document)
  local head = match(document, '^{"status":"[%a_]+","attempt":%d+,')
  return head and starts(sub(document, #head + 1), owner)
end

local f, n = fields(ARGV[1])
local owner, i, kept = f[1], 2, 0
while i <= n do
  local key, parts = f[i] .. '\0' .. f[i + 1], tonumber(f[i + 2])
  local document = call('HGET', CLAIMED, key) or call('HGET', RUNS, key)
  if document and (owner == '' or is_of(owner, document)) then
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
