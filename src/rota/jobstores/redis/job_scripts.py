"""The scripts for jobs: add, save, remove, look up, list, and what is due."""

from __future__ import annotations

#: Take possession of the keys (whether to make what is not there, an identity for them). Returns the schema version, "foreign",
#: or "missing"; and the identity, nothing if there is none.
PREPARE = """
local kind = call('TYPE', META)['ok']
if kind ~= 'none' and kind ~= 'hash' then return {'foreign', ''} end
local version = call('HGET', META, 'schema')
if not version then
  if call('EXISTS', META, JOBS, STATES, EXECUTORS, CLAIMED, RUNS, BY_JOB, NODES, ANSWERS, BROKEN) > 0 then
    return {'foreign', ''}
  end
  if fields(ARGV[1])[1] == '' then return {'missing', ''} end
  version = VERSION
  call('HSET', META, 'schema', VERSION)
end
if version == VERSION and not match(call('HGET', META, 'identity') or '', '^%w+$') then
  call('HSET', META, 'identity', fields(ARGV[1])[2])
end
return {version, call('HGET', META, 'identity') or ''}
"""


def migration(version: int, body: str) -> str:
    """Return a script that changes keys of a version, once."""
    return f"""
if call('HGET', META, 'schema') ~= '{version}' then return 0 end
{body}
return call('HSET', META, 'schema', '{version + 1}')
"""


#: The step from a version of the keys to the one after it, made by :func:`migration`. 2: records have the name and the callable
#: of jobs that are gone, and results of more kinds; what is there stays as it is, but older versions must not read it. 3: the store
#: has an identity, leases have a count of their renewals, and the records of some runs a signature.
MIGRATIONS: dict[int, str] = {1: migration(1, ""), 2: migration(2, "")}


_PUT = """
local function settled(rest, due)
  local nominal
  rest, nominal = released(rest)
  return rest, nominal and starts(rest, '"active"') and nominal or due
end
local function put(id, spec, version, running, rest, executor, due, before)
  if running <= 0 then rest, due = settled(rest, due) end
  keep_state(id, before)
  local old = executor_of(before)
  if old ~= executor then call('ZREM', TIMES .. old, id) end
  if spec ~= '' then call('HSET', JOBS, id, spec) end
  call('HSET', STATES, id, make(version, running, rest))
  call('SADD', EXECUTORS, executor)
  call(starts(rest, '"quarantined"') and 'SADD' or 'SREM', BROKEN, id)
  place(id, executor, due)
end
"""

#: Add or replace jobs (id, spec, version, rest, executor, due, version to be replaced or nothing …), all or none. Returns the ids
#: of those that exist already, or are not as they are to be replaced. What is new is written together: a third of the time.
ADD = f"""{_PUT}
local f, n = fields(ARGV[1])
local ids, refused, known = {{}}, {{}}, {{}}
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
local jobs, standing, broken, times, executors = {{}}, {{}}, {{}}, {{}}, {{}}
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
    if not times[executor] then times[executor] = {{}}; executors[#executors + 1] = executor end
    if due ~= '' then add(times, executor, due); add(times, executor, id) end
  end
end
each('HSET', JOBS, jobs)
each('HSET', STATES, standing)
each('SADD', BROKEN, broken)
each('SADD', EXECUTORS, executors)
for executor, values in pairs(times) do place_all(executor, values) end
return refused
"""

#: Replace a job (id, version or nothing, spec or nothing, rest, executor, due). Returns "gone", "changed" or the new version.
SAVE = f"""{_PUT}
local f = fields(ARGV[1])
local id, expected, spec, rest, executor, due = unpack(f)
local state = call('HGET', STATES, id)
if not state then return 'gone' end
local version, running, before = parse(state)
if is_ended(before) then return 'gone' end
if expected ~= '' and expected ~= version then
  -- The very same request may come twice.
  local again = version == raised(expected) and state == make(version, running, rest) and call('HGET', JOBS, id) == spec
  return again and version or 'changed'
end
version = raised(version)
put(id, spec, version, running, rest, executor, due, state)
return version
"""

_REMOVE = """
local function remove(id, state)
  local version, running = parse(state)
  keep_state(id, state)
  if version == '-1' then running = under_way(id) end
  forget(id)
  if running > 0 then
    local executor = cjson.encode(executor_of(state))
    call('HSET', STATES, id, make(raised(version), running, '"ended",null,null,' .. executor .. ',null]'))
  end
end
"""

#: Remove a job (id); what counts its unfinished runs stays until they have ended. Returns 1, or 0 if there is none.
REMOVE = f"""{_REMOVE}
local id = fields(ARGV[1])[1]
local state = call('HGET', STATES, id)
if not state then return 0 end
local _, _, rest = parse(state)
if is_ended(rest) then return 0 end
remove(id, state)
return 1
"""

REMOVE_ALL = f"""{_REMOVE}
local all = call('HGETALL', STATES)
for i = 1, #all, 2 do remove(all[i], all[i + 1]) end
return #all
"""

#: Return jobs (ids …) as id, spec and state in turn.
LOOK_UP = """
local ids = fields(ARGV[1])
local states, specs, found = get(STATES, ids), get(JOBS, ids), {}
for i = 1, #ids do
  if states[i] and is_job(specs[i], states[i]) then show(found, ids[i], specs[i], states[i]) end
end
return table.concat(found)
"""

#: Return name and callable of jobs (ids …): id, name and reference in turn.
NAMES = """
local ids = fields(ARGV[1])
local specs, found = get(JOBS, ids), {}
for i, id in ipairs(ids) do
  local whole, parts = pcall(cjson.decode, specs[i] or '')
  if whole and type(parts) == 'table' and type(parts[2]) == 'string' and type(parts[3]) == 'string' then
    found[#found + 1] = table.concat({id, shown(parts[2]), shown(parts[3]), ''}, '\\0')
  end
end
return table.concat(found)
"""

#: Return a part of the jobs in quarantine (cursor, about how many) in the same form, the next cursor, and how many there are.
BROKEN_JOBS = """
local f = fields(ARGV[1])
local step = call('SSCAN', BROKEN, f[1], 'COUNT', f[2])
local ids, found = step[2], {}
local states, specs = get(STATES, ids), get(JOBS, ids)
for i = 1, #ids do
  if states[i] and is_job(specs[i], states[i]) then show(found, ids[i], specs[i], states[i]) end
end
return {step[1], table.concat(found), call('SCARD', BROKEN)}
"""

#: Return a part of all jobs as id, spec and state in turn, from a cursor on, and the next cursor.
LIST = """
local step = call('HSCAN', STATES, fields(ARGV[1])[1], 'COUNT', 1000)
local all, ids, found = step[2], {}, {}
for i = 1, #all, 2 do ids[#ids + 1] = all[i] end
local specs, n = get(JOBS, ids), 0
-- Without a text for each job between: a fifth of the time of the server.
for i = 1, #ids do
  if is_job(specs[i], all[2 * i]) then
    found[n + 1], found[n + 2], found[n + 3] = ids[i], shown(specs[i] or ''), shown(all[2 * i])
    n = n + 3
  end
end
found[n + 1] = ''
return {step[1], table.concat(found, '\\0')}
"""

#: Return a part of the jobs that have one of some states (cursor, states …; any state without them) as id and due time in turn
#: ("held"; nothing without one), and the next cursor.
FIND = """
local f, n = fields(ARGV[1])
local step = call('HSCAN', STATES, f[1], 'COUNT', 1000)
local wanted, found = {}, {}
for i = 2, n do wanted[f[i]] = true end
for i = 1, #step[2], 2 do
  local _, _, rest = parse(step[2][i + 1])
  local state, due = match(rest, '^"(%a+)",[^,]+,"?([%w%-]+)')
  state = state or 'quarantined'
  if state ~= 'ended' and (n == 1 or wanted[state]) then
    if due ~= 'held' and not tonumber(due) then due = '' end
    found[#found + 1] = step[2][i] .. '\\0' .. due .. '\\0'
  end
end
return {step[1], table.concat(found)}
"""

#: Return the first jobs with a due time, at most so many of each executor (limit), in the same form.
SOONEST = """
local found = {}
for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do
  local first = call('ZRANGE', TIMES .. executor, 0, fields(ARGV[1])[1] - 1, 'WITHSCORES')
  for i = 1, #first do found[#found + 1] = first[i] end
end
found[#found + 1] = ''
return table.concat(found, '\\0')
"""

#: Return what is due (now, then executor and limit …; all of all executors without them) as id, spec and state in turn.
DUE = """
local f, n = fields(ARGV[1])
local now, found = f[1], {}
if n == 1 then
  for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do f[n + 1] = executor; f[n + 2] = '-1'; n = n + 2 end
end
for e = 2, n, 2 do
  local ids = call('ZRANGEBYSCORE', TIMES .. f[e], '-inf', now, 'LIMIT', 0, f[e + 1])
  if #ids > 0 then
    local states, specs = get(STATES, ids), get(JOBS, ids)
    for i = 1, #ids do
      if states[i] and not match(states[i], '^%[%d+,%-?%d+,"[^a]') and is_job(specs[i], states[i]) then
        show(found, ids[i], specs[i], states[i])
      else
        call('ZREM', TIMES .. f[e], ids[i])
      end
    end
  end
end
return table.concat(found)
"""

#: Take jobs out of the sets of due times of other executors than theirs (id and executor …).
UNLIST = """
local f, n = fields(ARGV[1])
for i = 1, n, 2 do
  for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do
    if executor ~= f[i + 1] then call('ZREM', TIMES .. executor, f[i]) end
  end
end
return n
"""

#: Return the earliest due time of the given executors (of all without any), or nothing.
NEXT = """
local names, n = fields(ARGV[1])
if n == 0 then names = call('SMEMBERS', EXECUTORS) end
local earliest
for _, name in ipairs(names) do
  local first = call('ZRANGE', TIMES .. name, 0, 0, 'WITHSCORES')
  if first[1] and (not earliest or tonumber(first[2]) < tonumber(earliest)) then earliest = first[2] end
end
return earliest
"""

#: Return how many jobs are due (now, known executors …) for executors that are not known: name and number in turn.
OVERDUE = """
local f, n = fields(ARGV[1])
local known, found = {}, {}
for i = 2, n do known[f[i]] = true end
for _, name in ipairs(call('SMEMBERS', EXECUTORS)) do
  if not known[name] then
    local waiting = call('ZCOUNT', TIMES .. name, '-inf', f[1])
    if waiting > 0 then found[#found + 1] = name; found[#found + 1] = waiting end
  end
end
return found
"""
