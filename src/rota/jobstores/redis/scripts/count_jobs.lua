-- Count the next jobs that have one of some states, in the order of their ids.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id after which to go on (empty: the first), how many are looked at, number of states, states, executors (none: any)
-- Returns  the last id (empty: these were all), how many there are

-- include _order

local f, n = fields(ARGV[1])
local count, states, executors, number = tonumber(f[2]), {}, {}, 0
for i = 4, 3 + tonumber(f[3]) do states[f[i]] = true end
local first = 4 + tonumber(f[3])
for i = first, n do executors[f[i]] = true end
put_in_order(IDS)
local ids = call('ZRANGEBYLEX', IDS, f[1] == '' and '-' or '(' .. f[1], '+', 'LIMIT', 0, count)
for _, text in ipairs(get(STATES, ids)) do
  if text then
    local state = match(text, '^%[%d+,%-?%d+,"(%a+)"') or 'quarantined'
    if states[state] and (first > n or executors[executor_of(text)]) then number = number + 1 end
  end
end
return {#ids == count and ids[#ids] or '', number}
