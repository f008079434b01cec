-- Count the records of some hours once and for all, and forget the counts of hours that are too old.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  now, the instant up to which hours may be counted, the first hour that is kept, how many hours at most
-- Returns  1 if there is more to count, else 0

-- include _hours

local f = fields(ARGV[1])
local now, to, oldest, most = tonumber(f[1]), tonumber(f[2]), tonumber(f[3]), tonumber(f[4])
local mark = counted_until(now)
if mark == -math.huge then  -- nothing was counted, or nobody knows up to where
  local rows, last = call('ZREVRANGEBYSCORE', HOURS, '(' .. f[1], '-inf', 'WITHSCORES', 'LIMIT', 0, PART), nil
  for i = 1, #rows, 2 do
    if not forgotten_in(rows[i]) then last = last or rows[i + 1] end
  end
  mark = last and hour_of(tonumber(last)) + HOUR or oldest
end
mark = math.max(mark, oldest)
local left = 1
for _ = 1, most do
  local hour = next_hour(mark, to)
  if not hour then
    mark, left = math.max(mark, to), 0
    break
  end
  local numbers = numbers_of(hour)
  call('ZREMRANGEBYSCORE', HOURS, string.format('%.0f', hour), '(' .. string.format('%.0f', hour + HOUR))
  for status, number in pairs(numbers) do
    local text = string.format('%.0f', hour)
    call('ZADD', HOURS, text, text .. ' ' .. status .. ' ' .. number)
  end
  mark = hour + HOUR
end
call('HSET', META, 'hours', string.format('%.0f', mark))
call('ZREMRANGEBYSCORE', HOURS, '-inf', '(' .. f[3])
return left
