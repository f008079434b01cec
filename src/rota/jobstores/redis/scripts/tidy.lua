-- Look at a part of the ids of jobs: what is kept of those that are gone is deleted.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id to go on from (empty: the first), how many
-- Returns  the id to go on from; nothing if these were all

-- include _order

local f = fields(ARGV[1])
if f[1] == '' then for _, key in ipairs({IDS, TAGS, BY_JOB, WAITING}) do put_in_order(key) end end
local ids = call('ZRANGEBYLEX', IDS, f[1] == '' and '-' or '(' .. f[1], '+', 'LIMIT', 0, f[2])
local states, specs, gone = get(STATES, ids), get(JOBS, ids), {}
for i, id in ipairs(ids) do
  if not states[i] or not is_job(specs[i], states[i]) then gone[#gone + 1] = id end
end
each('ZREM', IDS, gone)
each('HDEL', CHANGES, gone)
each('HDEL', DURATIONS, gone)
return #ids == tonumber(f[2]) and ids[#ids] or nil
