-- Look at a part of all jobs: those that have lost their state get one again, in quarantine.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  cursor, about how many, rest of that state
-- Returns  the next cursor; id, spec and state of each of those, each ended by a NUL

local f = fields(ARGV[1])
local step = call('HSCAN', JOBS, f[1], 'COUNT', f[2])
local ids, found = {}, {}
for i = 1, #step[2], 2 do ids[#ids + 1] = step[2][i] end
local states = get(STATES, ids)
for i, id in ipairs(ids) do
  if not states[i] then
    local state = make('0', under_way(id), f[3])
    call('HSET', STATES, id, state)
    call('SADD', QUARANTINED, id)
    call('ZADD', IDS, 0, id)
    show(found, id, step[2][2 * i], state)
  end
end
return {step[1], table.concat(found)}
