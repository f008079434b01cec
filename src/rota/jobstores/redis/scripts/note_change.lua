-- Keep an edit of a job, and some before it. Those of an earlier job of this id have revisions that are as high or higher.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id, revision, edit, how many are kept
-- Returns  a number that means nothing

local f = fields(ARGV[1])
if call('HEXISTS', JOBS, f[1]) == 0 then return 0 end
local kept = {}
for _, change in ipairs((fields(call('HGET', CHANGES, f[1]) or ''))) do
  local revision = match(change, '^%[(%d+),')
  if revision and tonumber(revision) < tonumber(f[2]) then kept[#kept + 1] = change end
end
kept[#kept + 1] = f[3]
local first = math.max(#kept - tonumber(f[4]) + 1, 1)
return call('HSET', CHANGES, f[1], table.concat(kept, '\0', first) .. '\0')
