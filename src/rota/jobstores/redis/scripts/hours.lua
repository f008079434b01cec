-- Return how many records there are by hour and status: of hours that were counted what HOURS says, of the others what there is.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  now, first hour, first one that is not wanted, how many hours or counts at most, whether runs under way are counted
--          (empty: no)
-- Returns  the hour to go on from (empty: these were all); hour, status and number of each; a number comes twice if there is more

-- include _records
-- include _hours

local f = fields(ARGV[1])
local now, from, to, most = tonumber(f[1]), tonumber(f[2]), tonumber(f[3]), tonumber(f[4])
local mark, found = counted_until(now), {''}
local function tell(hour, status, number)
  found[#found + 1] = string.format('%.0f', hour)
  found[#found + 1] = status
  found[#found + 1] = tostring(number)
end
if f[5] ~= '' then
  local numbers = {}
  for _, run in ipairs(under_way_within(from, to)) do
    local hour = hour_of(run.score)
    numbers[hour] = (numbers[hour] or 0) + 1
  end
  for hour, number in pairs(numbers) do tell(hour, 'claimed', number) end
end
if from < mark then
  local last = '(' .. string.format('%.0f', math.min(mark, to))
  local rows = call('ZRANGEBYSCORE', HOURS, f[2], last, 'WITHSCORES', 'LIMIT', 0, most)
  for i = 1, #rows, 2 do
    local hour, status, number = match(rows[i], '^(%-?%d+) ([%l_]+) (%d+)$')
    if hour and #number <= VERSION_DIGITS and tonumber(hour) == tonumber(rows[i + 1]) then tell(hour, status, number) end
  end
  if #rows == 2 * most then
    found[1] = string.format('%.0f', hour_of(tonumber(rows[#rows])))
    return found
  end
  from = mark
end
for _ = 1, most do
  local hour = next_hour(from, to, 'waiting')
  if not hour then return found end
  for status, number in pairs(numbers_of(hour, 'waiting')) do tell(hour, status, number) end
  from = hour + HOUR
end
found[1] = string.format('%.0f', from)
return found
