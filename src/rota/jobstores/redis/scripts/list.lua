-- Return a part of all jobs.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  cursor
-- Returns  the next cursor; id, spec and state of each, each ended by a NUL

local step = call('HSCAN', STATES, fields(ARGV[1])[1], 'COUNT', 1000)
local all, ids, found = step[2], {}, {}
for i = 1, #all, 2 do ids[#ids + 1] = all[i] end
local specs, n = get(JOBS, ids), 0
-- One text for all, and none for each job, which is faster (redis-load in docs/performance.md).
for i = 1, #ids do
  if is_job(specs[i], all[2 * i]) then
    found[n + 1], found[n + 2], found[n + 3] = ids[i], shown(specs[i] or ''), shown(all[2 * i])
    n = n + 3
  end
end
found[n + 1] = ''
return {step[1], table.concat(found, '\0')}
