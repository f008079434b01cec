-- Tell who is alive.

-- include _owner

-- Whether the lease of a node is not over. What is no length is the usual one.
local function is_alive(owner, now)
  local lease = tonumber(call('ZSCORE', NODES, owner) or '') or -math.huge
  local length = tonumber(call('HGET', META, 'length ' .. owner) or '')
  if not length or length ~= length or length < 0 or length > LONGEST_LEASE then length = USUAL_LEASE end
  if lease - length > now + AHEAD then  -- it was renewed before the clock was set back, and counts from now
    lease = now + length
    call('ZADD', NODES, string.format('%d', lease), owner)
  end
  return lease >= now
end
