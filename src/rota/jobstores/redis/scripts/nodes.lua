-- Return the nodes whose lease was not over at an instant.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  instant, how many at most
-- Returns  for each its id, the end of its lease, when that began (empty: unknown), how many runs it has, what it says of itself,
--          and whether it is to claim nothing more (empty: no)

-- include _owner

local f = fields(ARGV[1])
local nodes = call('ZREVRANGEBYSCORE', NODES, '+inf', f[1], 'WITHSCORES', 'LIMIT', 0, f[2])
local runs, found = {}, {}
for _, document in ipairs(call('HVALS', CLAIMED)) do
  local owner = owner_of(document) or ''
  runs[owner] = (runs[owner] or 0) + 1
end
for i = 1, #nodes, 2 do
  local node = nodes[i]
  local kept = call('HMGET', META, 'started ' .. node, 'about ' .. node, 'draining ' .. node)
  for _, text in ipairs({node, nodes[i + 1], kept[1] or '', tostring(runs[node] or 0), kept[2] or '', kept[3] and '1' or ''}) do
    found[#found + 1] = text
  end
end
return found
