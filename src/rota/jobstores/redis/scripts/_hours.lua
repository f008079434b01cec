-- Count records by hours.

local function hour_of(instant) return instant - instant % HOUR end

-- Return the hour up to which records were counted once and for all; before all hours if none were, or nobody knows. It may be later
-- than now, if the clock was set back.
local function counted_until(now)
  local mark = tonumber(call('HGET', META, 'hours') or '')
  return mark and mark % HOUR == 0 and mark <= now + 10000 * HOUR and mark or -math.huge
end

-- Return the first hour within some bounds that has records, nothing if none has.
--
-- other  a status that is no end and counts as well
local function next_hour(from, to, other)
  local least
  for _, status in ipairs(other and {other, unpack(STATUSES)} or STATUSES) do
    local first = call('ZRANGEBYSCORE', STATUS .. status, string.format('%.0f', from), '(' .. string.format('%.0f', to),
      'WITHSCORES', 'LIMIT', 0, 1)[2]
    first = first and hour_of(tonumber(first))
    if first and (not least or first < least) then least = first end
  end
  return least
end

-- Return how many records of an hour have each status.
local function numbers_of(hour, other)
  local found = {}
  for _, status in ipairs(other and {other, unpack(STATUSES)} or STATUSES) do
    local number = call('ZCOUNT', STATUS .. status, string.format('%.0f', hour), '(' .. string.format('%.0f', hour + HOUR))
    if number > 0 then found[status] = number end
  end
  return found
end
