-- Migrate the keys from version 3 to 4, some jobs at a time.
--
-- The ids of jobs are sorted, so that pages of jobs can be read; jobs may have tags, edits and durations, records parts, and
-- nodes say what they are. The rest of what is there stays as it is.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  nothing
-- Returns  "more" until all is done, then how many fields are new; 0 if the keys have another version

if call('HGET', META, 'schema') ~= '3' then return 0 end
local step = call('HSCAN', STATES, call('HGET', META, 'migrated') or '0', 'COUNT', 1000)
local ids = {}
for i = 1, #step[2], 2 do ids[#ids + 1] = step[2][i] end
index(IDS, ids)
if step[1] ~= '0' then
  call('HSET', META, 'migrated', step[1])
  return 'more'
end
call('HDEL', META, 'migrated')
return call('HSET', META, 'schema', '4')
