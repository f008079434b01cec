-- Delete those of some records that ended before an instant.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  status, instant, nominal time to begin with, how many are looked at
-- Returns  nominal time to go on with (empty: these were all), how many were deleted, how many are left from there on

-- include _delete

local f = fields(ARGV[1])
local name, before, from, count = STATUS .. f[1], '(' .. f[2], f[3], tonumber(f[4])
local found = call('ZRANGEBYSCORE', name, from, before, 'WITHSCORES', 'LIMIT', 0, count)
local keys = {}
for i = 1, #found, 2 do keys[#keys + 1] = found[i] end
local documents, old = get(RUNS, keys), {}
for i, key in ipairs(keys) do
  local finished = documents[i] and match(documents[i], '"finished":(%-?%d+)')
  if not finished or tonumber(finished) < tonumber(f[2]) then old[#old + 1] = key end
end
delete(f[1], old)
if #keys < count then return {'', #old, 0} end
local last = found[#found]
-- If one nominal time has more records than a step looks at, those behind the ones that stay wait for a later round.
if #old == 0 and found[2] == last then last = '(' .. last end
return {last, #old, call('ZCOUNT', name, last, before)}
