-- Add or replace jobs, all or none. What is new is written together, which is faster
-- (redis-add-many in docs/performance.md).
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  for each job its id, spec, version, rest, executor, due time, and the version that is to be replaced (empty: it
--          is new)
-- ARGV[2]  the origin that wake-ups carry
-- ARGV[3]  tag and id of each tag of each job
-- Returns  the ids of those that exist already, or are not as they are to be replaced

-- include _put
-- include _tag

local f, n = fields(ARGV[1])
local ids, refused, known = {}, {}, {}
for i = 1, n, 7 do ids[#ids + 1] = f[i] end
local states = get(STATES, ids)
for i = 1, n, 7 do
  local state = states[(i + 6) / 7]
  if state then
    local version, _, rest = parse(state)
    local ended = is_ended(rest)
    -- The very same request may come twice, also after others have claimed the job: its version began where no other's does.
    local ahead = f[i + 6] == '' and not ended and tonumber(version) - tonumber(f[i + 2])
    local again = ahead and ahead > 0 and ahead < 1000
    if again then known[f[i]] = true end
    local fits = again or version == f[i + 2] or (f[i + 6] == '' and ended) or (version == f[i + 6] and not ended)
    if not fits then refused[#refused + 1] = f[i] end
  elseif f[i + 6] ~= '' then
    refused[#refused + 1] = f[i]
  end
end
if #refused > 0 then return refused end
call('HSETNX', META, 'schema', VERSION)
local jobs, standing, broken, times, executors = {}, {}, {}, {}, {}
for i = 1, n, 7 do
  local id, version, rest, executor, due = f[i], f[i + 2], f[i + 3], f[i + 4], f[i + 5]
  local state = states[(i + 6) / 7]
  if known[id] then
    -- It is stored, and has gone on since.
  elseif state then
    -- The ledger says how many runs of an earlier job of this id are under way.
    put(id, f[i + 1], version, under_way(id), rest, executor, due, state)
  else
    rest, due = settled(rest, due)
    local at = #jobs
    jobs[at + 1], jobs[at + 2] = id, f[i + 1]
    standing[at + 1], standing[at + 2] = id, make(version, 0, rest)
    if starts(rest, '"quarantined"') then broken[#broken + 1] = id end
    if not times[executor] then times[executor] = {}; executors[#executors + 1] = executor end
    if due ~= '' then add(times, executor, due); add(times, executor, id) end
  end
end
index(IDS, ids)
if ARGV[3] then tag(fields(ARGV[3])) end
each('HSET', JOBS, jobs)
each('HSET', STATES, standing)
each('SADD', QUARANTINED, broken)
each('SADD', EXECUTORS, executors)
for executor, values in pairs(times) do place_all(executor, values) end
return refused
