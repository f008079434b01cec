-- Questions to nodes.

-- Return the questions from an instant on by their ids, and forget the others.
local function requests_from(instant)
  local all, found, over = call('HGETALL', REQUESTS), {}, {}
  for i = 1, #all, 2 do
    local request, n = fields(all[i + 1])
    if n == 5 and (tonumber(request[3]) or -math.huge) >= instant then
      found[all[i]] = request
    else
      over[#over + 1] = all[i]
    end
  end
  each('HDEL', REQUESTS, over)
  each('HDEL', REPLIES, over)
  return found
end

-- Return id, job id and text of what is left of backfills: what is asked of no particular node, and never too old.
local function backfills_among(requests)
  local found = {}
  for id, request in pairs(requests) do
    local text = request[1] == '*' and call('HGET', REPLIES, id)
    if text then
      found[#found + 1] = id
      found[#found + 1] = request[4]
      found[#found + 1] = text
    end
  end
  return found
end
