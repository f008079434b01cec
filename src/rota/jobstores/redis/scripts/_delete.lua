-- Delete records.

-- include _hours

-- Keep how many of some records that are about to be forgotten there were in hours that are not counted yet.
local function count_forgotten(status, keys)
  local mark, numbers = counted_until(math.huge), {}
  for _, key in ipairs(keys) do
    local nominal = tonumber(call('ZSCORE', STATUS .. status, key) or '')
    if nominal and nominal >= mark then
      local hour = hour_of(nominal)
      numbers[hour] = (numbers[hour] or 0) + 1
    end
  end
  for hour, number in pairs(numbers) do
    local text = string.format('%.0f', hour)
    for _, row in ipairs(call('ZRANGEBYSCORE', HOURS, text, text)) do
      local of_status, before = forgotten_in(row)
      if of_status == status then
        number = number + before
        call('ZREM', HOURS, row)
      end
    end
    call('ZADD', HOURS, text, '+' .. text .. ' ' .. status .. ' ' .. number)
  end
end

-- Delete what is kept beside some records.
local function delete_parts(keys)
  local names, gone = get(PARTS, keys), {}
  for i, key in ipairs(keys) do
    if names[i] then
      gone[#gone + 1] = key
      for _, name in ipairs((fields(names[i]))) do gone[#gone + 1] = key .. '\0' .. name end
    end
  end
  each('HDEL', PARTS, gone)
end

-- Forget the jobs of some records whose schedule is over, and of which no record is left.
local function forget_ended(keys)
  local seen = {}
  for _, key in ipairs(keys) do
    local id = match(key, '^[^%z]*')
    if not seen[id] then
      seen[id] = true
      local state = call('HGET', STATES, id)
      local version, running, rest
      if state then version, running, rest = parse(state) end
      if version and version ~= '-1' and is_ended(rest) and stays(id, running)
        and call('ZLEXCOUNT', BY_JOB, '[' .. id .. '\0', '(' .. id .. '\1') == 0 then
        forget(id)
      end
    end
  end
end

local function delete(status, keys)
  count_forgotten(status, keys)
  each('ZREM', STATUS .. status, keys)
  each('ZREM', BY_JOB, keys)
  delete_parts(keys)
  each('HDEL', RUNS, keys)
  forget_ended(keys)
end
