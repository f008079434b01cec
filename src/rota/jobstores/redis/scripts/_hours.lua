-- Count records by hours.

local function hour_of(instant) return instant - instant % HOUR end

-- Return the hour up to which records were counted once and for all; before all hours if none were, or nobody knows. It may be later
-- than now, if the clock was set back.
local function counted_until(now)
  local mark = tonumber(call('HGET', META, 'hours') or '')
  return mark and mark % HOUR == 0 and mark <= now + 10000 * HOUR and mark or -math.huge
end

-- Return status and number of a row of HOURS that says what was forgotten of an hour before it was counted.
local function forgotten_in(row)
  local status, number = match(row, '^%+%-?%d+ ([%l_]+) (%d+)$')
  if status and #number <= VERSION_DIGITS then return status, tonumber(number) end
end

-- Return the first hour within some bounds of which records were forgotten before it was counted, nothing if there is none.
local function first_forgotten(from, to)
  local rows = call('ZRANGEBYSCORE', HOURS, string.format('%.0f', from), '(' .. string.format('%.0f', to), 'WITHSCORES',
    'LIMIT', 0, PART)
  for i = 1, #rows, 2 do
    if forgotten_in(rows[i]) then return hour_of(tonumber(rows[i + 1])) end
  end
end

-- Return the first hour within some bounds that has records, or had some that are forgotten; nothing if none has.
--
-- other  a status that is no end and counts as well
local function next_hour(from, to, other)
  local least = first_forgotten(from, to)
  for _, status in ipairs(other and {other, unpack(STATUSES)} or STATUSES) do
    local first = call('ZRANGEBYSCORE', STATUS .. status, string.format('%.0f', from), '(' .. string.format('%.0f', to),
      'WITHSCORES', 'LIMIT', 0, 1)[2]
    first = first and hour_of(tonumber(first))
    if first and (not least or first < least) then least = first end
  end
  return least
end

-- Return how many records of an hour have each status, those that are forgotten among them.
local function numbers_of(hour, other)
  local found = {}
  local first, behind = string.format('%.0f', hour), '(' .. string.format('%.0f', hour + HOUR)
  for _, row in ipairs(call('ZRANGEBYSCORE', HOURS, first, behind)) do
    local status, number = forgotten_in(row)
    if status then found[status] = (found[status] or 0) + number end
  end
  for _, status in ipairs(other and {other, unpack(STATUSES)} or STATUSES) do
    local number = call('ZCOUNT', STATUS .. status, first, behind)
    if number > 0 then found[status] = (found[status] or 0) + number end
  end
  return found
end
