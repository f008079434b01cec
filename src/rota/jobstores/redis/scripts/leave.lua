-- Give back runs, and end the node's lease unless other runs of it are under way.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  node; for each run id, nominal time, fence, the fence of a run without a node
-- Returns  1 if the lease was ended

-- include _owner

local f, n = fields(ARGV[1])
local node = f[1]
for i = 2, n, 4 do
  local key = f[i] .. '\0' .. f[i + 1]
  local document = call('HGET', CLAIMED, key)
  if document and starts(document, f[i + 2]) then  -- R5
    call('HSET', CLAIMED, key, f[i + 3] .. sub(document, #f[i + 2] + 1))
  end
end
for _, document in ipairs(call('HVALS', CLAIMED)) do
  if owner_of(document) == node then return 0 end
end
call('ZREM', NODES, node)
call('HDEL', ANSWERS, node)
call('HDEL', META, 'length ' .. node, 'renewals ' .. node, 'started ' .. node, 'about ' .. node, 'draining ' .. node)
return 1
