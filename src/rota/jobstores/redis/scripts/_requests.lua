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
