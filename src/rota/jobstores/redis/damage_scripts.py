"""The scripts that look for damage: counts, lists and keys that contradict each other, and values of another kind."""

from __future__ import annotations

from ...core.states import END_STATES

#: Return a part of the runs under way (cursor, about how many): the next cursor; key and document in turn; and their jobs, as
#: ORPHANS does.
LOOK_AT_RUNS = """
local f = fields(ARGV[1])
local step = call('HSCAN', CLAIMED, f[1], 'COUNT', f[2])
local runs, ids, seen, jobs = {}, {}, {}, {}
for i = 1, #step[2], 2 do
  local key, document = step[2][i], step[2][i + 1]
  if is_key(key) then
    runs[#runs + 1] = key .. '\\0' .. shown(document) .. '\\0'
    local id = match(key, '^[^%z]*')
    if not seen[id] then seen[id] = true; ids[#ids + 1] = id end
  else
    keep(key, document)
    call('HDEL', CLAIMED, key)
  end
end
local states, specs = get(STATES, ids), get(JOBS, ids)
for i, id in ipairs(ids) do
  jobs[i] = table.concat({id, shown(states[i] or ''), shown(specs[i] or ''), ''}, '\\0')
end
return {step[1], table.concat(runs), table.concat(jobs)}
"""

#: Count the runs of jobs that are under way (ids …), put right what their states say, and return the counts.
RECOUNT = """
local ids = fields(ARGV[1])
local states, counts, changed = get(STATES, ids), {}, {}
for i, id in ipairs(ids) do
  counts[i] = under_way(id)
  local version, running, rest
  if states[i] then version, running, rest = parse(states[i]) end
  if version and version ~= '-1' and running ~= counts[i] then
    changed[#changed + 1] = id
    changed[#changed + 1] = make(version, counts[i], rest)
  end
end
each('HSET', STATES, changed)
return counts
"""

#: Look at a part of all jobs (cursor, about how many): counts, due times and lists that contradict the jobs' states are put right.
#: Returns the next cursor, and the jobs that nobody would find because of what is stored of them, as id, spec and state in turn.
LOOK_OVER = """
local f = fields(ARGV[1])
local LATEST = 2.6e17  -- about the year 9999
local step = call('HSCAN', STATES, f[1], 'COUNT', f[2])
local all, ids, hidden = step[2], {}, {}
for i = 1, #all, 2 do ids[#ids + 1] = all[i] end
local specs = get(JOBS, ids)
local words = {active = true, paused = true, quarantined = true, ended = true}
for i, id in ipairs(ids) do
  local text = all[2 * i]
  local version, running, rest = parse(text)
  local state = match(rest, '^"(%a+)",')
  local nominal = match(rest, '^"%a+",(%-?%d+),')
  local due = match(rest, '^"%a+",%-?%d+,(%-?%d+),') or match(rest, '^"%a+",%-?%d+,"(held)",')
  local executor = executor_of(text)
  local timed = nominal and due and (due == 'held' or tonumber(due) < LATEST)
  local waits = state == 'active'
  if version == '-1' or not words[state] or (waits and not timed) or (waits and executor == '') then
    if not (state == 'quarantined' and version ~= '-1') then show(hidden, id, specs[i], text) end
  else
    local count = under_way(id)
    if running ~= count or (count == 0 and (due == 'held' or state == 'ended')) then
      local changed, freed = counting(version, count, rest)
      if changed then call('HSET', STATES, id, changed) else forget(id) end
      if freed then due = freed end
    end
    if state ~= 'ended' then
      call('SADD', EXECUTORS, executor)
      call(state == 'quarantined' and 'SADD' or 'SREM', BROKEN, id)
      local score = call('ZSCORE', TIMES .. executor, id)
      if not waits or due == 'held' then
        if score then call('ZREM', TIMES .. executor, id) end
      elseif not score or tonumber(score) ~= tonumber(due) then
        place(id, executor, due)
      end
    end
  end
end
return {step[1], table.concat(hidden)}
"""

#: Look at a part of all jobs: those that nothing is known of but what they are get a state again, in quarantine
#: (cursor, about how many, rest of that state). Returns the next cursor.
LOOK_FOR_LOST = """
local f = fields(ARGV[1])
local step = call('HSCAN', JOBS, f[1], 'COUNT', f[2])
local ids = {}
for i = 1, #step[2], 2 do ids[#ids + 1] = step[2][i] end
local states = get(STATES, ids)
for i, id in ipairs(ids) do
  if not states[i] then
    call('HSET', STATES, id, make('0', under_way(id), f[3]))
    call('SADD', BROKEN, id)
  end
end
return step[1]
"""

#: Put keys aside that are not of the kind that they have to be (executors …): somebody has overwritten them. What they hold is kept
#: under another name. Returns both names in turn.
SET_ASIDE = """
local kinds = {[JOBS] = 'hash', [STATES] = 'hash', [EXECUTORS] = 'set', [BROKEN] = 'set', [CLAIMED] = 'hash', [RUNS] = 'hash',
  [BY_JOB] = 'zset', [NODES] = 'zset', [ANSWERS] = 'hash', [DAMAGED] = 'hash', [META] = 'hash'}
for _, status in ipairs({STATUSES}) do kinds[STATUS .. status] = 'zset' end
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
""".replace("STATUSES", ", ".join(f"'{status}'" for status in END_STATES))

#: Write the keys of a part of the records (cursor, about how many) into the sets that they are found by. Returns the next cursor.
INDEX_RUNS = """
local f = fields(ARGV[1])
local step = call('HSCAN', RUNS, f[1], 'COUNT', f[2])
for i = 1, #step[2], 2 do
  local key, status = step[2][i], match(step[2][i + 1], '^{"status":"([%l_]+)"')
  if status and is_key(key) then
    call('ZADD', BY_JOB, 0, key)
    call('ZADD', STATUS .. status, score(match(key, '%z(.*)$')), key)
  end
end
return step[1]
"""
