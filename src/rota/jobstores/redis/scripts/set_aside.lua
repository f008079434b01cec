-- Rename keys that somebody has overwritten by values of another kind.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  executors
-- Returns  the name of each such key, and the name under which its value is kept

local kinds = {[JOBS] = 'hash', [STATES] = 'hash', [EXECUTORS] = 'set', [QUARANTINED] = 'set', [CLAIMED] = 'hash', [RUNS] = 'hash',
  [BY_JOB] = 'zset', [IDS] = 'zset', [TAGS] = 'zset', [HOURS] = 'zset', [PARTS] = 'hash', [CHANGES] = 'hash',
  [DURATIONS] = 'hash', [WAITING] = 'zset', [WAITING_JOBS] = 'zset', [CANCELS] = 'hash', [ASKED] = 'hash',
  [REQUESTS] = 'hash', [REPLIES] = 'hash', [STATUS .. 'waiting'] = 'zset', [NODES] = 'zset', [ANSWERS] = 'hash', [DAMAGED] = 'hash', [META] = 'hash'}
for _, status in ipairs(STATUSES) do kinds[STATUS .. status] = 'zset' end
for _, executor in ipairs(fields(ARGV[1])) do kinds[TIMES .. executor] = 'zset' end
if call('TYPE', EXECUTORS)['ok'] == 'set' then
  for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do kinds[TIMES .. executor] = 'zset' end
end
if call('TYPE', STATES)['ok'] == 'hash' then
  for _, state in ipairs(call('HVALS', STATES)) do kinds[TIMES .. executor_of(state)] = 'zset' end
end
local moved = {}
for key, kind in pairs(kinds) do
  local found = call('TYPE', key)['ok']
  if found ~= 'none' and found ~= kind then
    local name, n = key .. ':damaged', 1
    while call('EXISTS', name) == 1 do n = n + 1; name = key .. ':damaged' .. n end
    call('RENAME', key, name)
    moved[#moved + 1] = key
    moved[#moved + 1] = name
  end
end
if #moved > 0 then call('HSETNX', META, 'schema', VERSION) end
return moved
