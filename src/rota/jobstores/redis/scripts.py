"""The steps of the Redis store as Lua scripts: each is atomic, since the server carries out one script at a time.

Fields of a payload end with a NUL, which no text in a store contains. What a job is (``JOBS``: a JSON list of texts) is kept apart
from how it stands (``STATES``: ``[version,running,"state",nominal,due,"executor",error]``), so that a claim moves little. Jobs that
will be due are in one sorted set for each executor. Runs are JSON documents in one hash; their keys ``id NUL nominal`` are in
``BY_JOB`` (sorted by text) and in one sorted set for each status (sorted by nominal time).
"""

from __future__ import annotations

from hashlib import sha1

#: How many values one command is given; Lua takes about 8000.
_PART = 2000

_PRELUDE = f"""
local call = redis.call
local function fields(text)
  local found, n = {{}}, 0
  for field in string.gmatch(text, '([^%z]*)%z') do n = n + 1; found[n] = field end
  return found, n
end
local function each(command, key, values)
  for first = 1, #values, {_PART} do
    call(command, key, unpack(values, first, math.min(first + {_PART - 1}, #values)))
  end
end
local function get(key, names)
  local found = {{}}
  for first = 1, #names, {_PART} do
    local last = math.min(first + {_PART - 1}, #names)
    local values = call('HMGET', key, unpack(names, first, last))
    for i = 1, last - first + 1 do found[first + i - 1] = values[i] end
  end
  return found
end
local function parse(state)
  local version, running, rest = string.match(state, '^%[(%d+),(%-?%d+),(.*)$')
  return version or '0', tonumber(running) or 0, rest or ''
end
local function starts(text, beginning) return string.sub(text, 1, #beginning) == beginning end
local function show(found, id, spec, state)
  found[#found + 1] = id .. '\\0' .. spec .. '\\0' .. state .. '\\0'
end
local function is_ended(rest) return starts(rest, '"ended"') end
local function make(version, running, rest) return string.format('[%s,%d,%s', version, running, rest) end
local function raised(version) return string.format('%d', tonumber(version) + 1) end
local function executor_of(state)
  local whole, parts = pcall(cjson.decode, state)
  return whole and parts[6] or ''
end
local function add(groups, name, value)
  local group = groups[name]
  if not group then group = {{}}; groups[name] = group end
  group[#group + 1] = value
end
local function place(id, executor, due)
  local times = TIMES .. executor
  if due == '' then call('ZREM', times, id) return end
  local first = call('ZRANGE', times, 0, 0, 'WITHSCORES')
  call('ZADD', times, due, id)
  if not first[1] or tonumber(due) < tonumber(first[2]) then call('PUBLISH', WAKE, ARGV[2]) end
end
local function released(rest)
  local nominal = string.match(rest, '^"%a+",(%-?%d+),"held"')
  if not nominal then return rest, nil end
  return string.gsub(rest, '"held"', nominal, 1), nominal
end
local function forget(id)
  call('HDEL', JOBS, id)
  call('HDEL', STATES, id)
  for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do call('ZREM', TIMES .. executor, id) end
  call('SREM', BROKEN, id)
end
local function count_down(ended)
  local ids = {{}}
  for id in pairs(ended) do ids[#ids + 1] = id end
  local states, changed = get(STATES, ids), {{}}
  for i, id in ipairs(ids) do
    local state = states[i]
    if state then
      local version, running, rest = parse(state)
      running = running - ended[id]
      if running <= 0 and is_ended(rest) then
        forget(id)
      else
        local nominal
        if running <= 0 then rest, nominal = released(rest) end
        changed[#changed + 1] = id
        changed[#changed + 1] = make(version, running, rest)
        if nominal and starts(rest, '"active"') then place(id, executor_of(state), nominal) end
      end
    end
  end
  if #changed > 0 then each('HSET', STATES, changed) end
end
"""

#: Take possession of the keys. Returns the schema version, or "foreign".
PREPARE = """
local kind = call('TYPE', META)['ok']
if kind ~= 'none' and kind ~= 'hash' then return 'foreign' end
local version = call('HGET', META, 'schema')
if version then return version end
if call('EXISTS', META, JOBS, STATES, EXECUTORS, RUNS, BY_JOB, NODES, ANSWERS, BROKEN) > 0 then return 'foreign' end
call('HSET', META, 'schema', VERSION)
return VERSION
"""

#: Add jobs (id, spec, version, rest, executor, due …), all or none. Returns the ids that exist.
ADD = """
local f, n = fields(ARGV[1])
local taken, ready = {}, {}
for i = 1, n, 6 do
  local state, running = call('HGET', STATES, f[i]), 0
  if state then
    local version, under_way, rest = parse(state)
    if not is_ended(rest) and version ~= f[i + 2] then taken[#taken + 1] = f[i] end
    running = under_way
  end
  ready[i] = running
end
if #taken > 0 then return taken end
call('HSETNX', META, 'schema', VERSION)
for i = 1, n, 6 do
  local id, executor = f[i], f[i + 4]
  call('HSET', JOBS, id, f[i + 1])
  call('HSET', STATES, id, make(f[i + 2], ready[i], f[i + 3]))
  call('SADD', EXECUTORS, executor)
  if starts(f[i + 3], '"quarantined"') then call('SADD', BROKEN, id) end
  place(id, executor, f[i + 5])
end
return taken
"""

#: Replace a job (id, version or nothing, spec or nothing, rest, executor, due). Returns "gone", "changed" or the new version.
SAVE = """
local f = fields(ARGV[1])
local id, expected, spec, rest, executor, due = unpack(f)
local state = call('HGET', STATES, id)
if not state then return 'gone' end
local version, running, before = parse(state)
if is_ended(before) then return 'gone' end
if expected ~= '' and expected ~= version then return 'changed' end
if running <= 0 then
  local nominal
  rest, nominal = released(rest)
  if nominal and starts(rest, '"active"') then due = nominal end
end
local old = executor_of(state)
if old ~= executor then call('ZREM', TIMES .. old, id) end
version = raised(version)
if spec ~= '' then call('HSET', JOBS, id, spec) end
call('HSET', STATES, id, make(version, running, rest))
call('SADD', EXECUTORS, executor)
call(starts(rest, '"quarantined"') and 'SADD' or 'SREM', BROKEN, id)
place(id, executor, due)
return version
"""

_REMOVE = """
local function remove(id, state)
  local version, running = parse(state)
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
  if states[i] and specs[i] then show(found, ids[i], specs[i], states[i]) end
end
return table.concat(found)
"""

#: Return the jobs in quarantine, in the same form.
BROKEN_JOBS = """
local ids, found = call('SMEMBERS', BROKEN), {}
local states, specs = get(STATES, ids), get(JOBS, ids)
for i = 1, #ids do
  if states[i] and specs[i] then show(found, ids[i], specs[i], states[i]) end
end
return table.concat(found)
"""

#: Return a part of all jobs as id, spec and state in turn, from a cursor on, and the next cursor.
LIST = """
local step = call('HSCAN', STATES, fields(ARGV[1])[1], 'COUNT', 1000)
local ids, states, found = {}, {}, {}
for i = 1, #step[2], 2 do ids[#ids + 1] = step[2][i]; states[#states + 1] = step[2][i + 1] end
local specs = get(JOBS, ids)
for i = 1, #ids do
  if specs[i] then show(found, ids[i], specs[i], states[i]) end
end
return {step[1], table.concat(found)}
"""

#: Return what is due (now, then executor and limit …; without any, of all executors) as id, spec and state in turn.
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
      if states[i] and specs[i] then
        show(found, ids[i], specs[i], states[i])
      else
        call('ZREM', TIMES .. f[e], ids[i])
      end
    end
  end
end
return table.concat(found)
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

#: Carry out decisions (node, now, token; then id, version, runs, limit, rest, executor, due, number of records, and for each
#: record nominal, score, status, document). Returns "1" or "0" for each; "?" for a node without a lease; "-" if its lease is over;
#: "=" and the places of the records whose nominal time has one already (then nothing is done).
CLAIM = """
local f, n = fields(ARGV[1])
local node, now, token = f[1], tonumber(f[2]), f[3]
local answered = call('HGET', ANSWERS, node)
if answered and starts(answered, token) then return string.sub(answered, #token + 1) end
local lease = call('ZSCORE', NODES, node)
if not lease then return '?' end
if tonumber(lease) < now then return '-' end
local at, ids, i = {}, {}, 4
while i <= n do
  at[#at + 1] = i
  ids[#ids + 1] = f[i]
  i = i + 8 + 4 * tonumber(f[i + 7])
end
local states, won = get(STATES, ids), {}
local keys, documents, changed, gone, broken = {}, {}, {}, {}, {}
local due, done, of_status = {}, {}, {}
local records = 0
local places = {}
for d, i in ipairs(at) do
  local id, state, count = ids[d], states[d], tonumber(f[i + 7])
  won[d] = '0'
  if state then
    local version, running = parse(state)
    local runs, limit, rest = tonumber(f[i + 2]), tonumber(f[i + 3]), f[i + 4]
    if version == f[i + 1] and (runs == 0 or running < limit) then
      won[d] = '1'
      running = running + runs
      if running <= 0 and is_ended(rest) then
        gone[#gone + 1] = id
      else
        changed[#changed + 1] = id
        changed[#changed + 1] = make(raised(version), running, rest)
      end
      if f[i + 6] == '' then add(done, f[i + 5], id) else add(due, f[i + 5], f[i + 6]); add(due, f[i + 5], id) end
      if starts(rest, '"quarantined"') then broken[#broken + 1] = id end
      for r = 0, count - 1 do
        local first = i + 8 + 4 * r
        local key = id .. '\\0' .. f[first]
        keys[#keys + 1] = key
        documents[#documents + 1] = key
        documents[#documents + 1] = f[first + 3]
        places[#places + 1] = records + r
        add(of_status, f[first + 2], f[first + 1])
        add(of_status, f[first + 2], key)
      end
    end
  end
  records = records + count
end
local known, taken = get(RUNS, keys), {}
for r = 1, #keys do
  if known[r] then taken[#taken + 1] = places[r] end
end
if #taken > 0 then return '=' .. table.concat(taken, ',') end
if #changed > 0 then each('HSET', STATES, changed) end
if #gone > 0 then each('HDEL', STATES, gone); each('HDEL', JOBS, gone) end
if #broken > 0 then each('SADD', BROKEN, broken) end
for executor, values in pairs(due) do each('ZADD', TIMES .. executor, values) end
for executor, values in pairs(done) do each('ZREM', TIMES .. executor, values) end
if #documents > 0 then
  each('HSET', RUNS, documents)
  for status, values in pairs(of_status) do each('ZADD', STATUS .. status, values) end
  local unsorted = {}
  for _, key in ipairs(keys) do unsorted[#unsorted + 1] = 0; unsorted[#unsorted + 1] = key end
  each('ZADD', BY_JOB, unsorted)
end
local answer = table.concat(won)
call('HSET', ANSWERS, node, token .. answer)
return answer
"""

#: Write how runs ended (id, nominal, score, status, fence, document …). Returns "1" or "0" (refused) for each.
FINISH = """
local f, n = fields(ARGV[1])
local keys = {}
for i = 1, n, 6 do keys[#keys + 1] = f[i] .. '\\0' .. f[i + 1] end
local known, answer, ended = get(RUNS, keys), {}, {}
local over, documents, of_status = {}, {}, {}
for r, key in ipairs(keys) do
  local i = 6 * r - 5
  local document = known[r]
  if document and starts(document, f[i + 4]) then
    answer[r] = '1'
    over[#over + 1] = key
    documents[#documents + 1] = key
    documents[#documents + 1] = f[i + 5]
    add(of_status, f[i + 3], f[i + 2])
    add(of_status, f[i + 3], key)
    ended[f[i]] = (ended[f[i]] or 0) + 1
  else
    answer[r] = document == f[i + 5] and '1' or '0'
  end
end
if #over > 0 then
  each('HSET', RUNS, documents)
  each('ZREM', STATUS .. 'claimed', over)
  for status, values in pairs(of_status) do each('ZADD', STATUS .. status, values) end
  count_down(ended)
end
return table.concat(answer)
"""

#: Begin or prolong a lease (node, now, until). Returns 1, or 0 if it was over.
RENEW = """
local f = fields(ARGV[1])
call('HSETNX', META, 'schema', VERSION)
local before = call('ZSCORE', NODES, f[1])
if before and tonumber(before) < tonumber(f[2]) then return 0 end
call('ZADD', NODES, f[3], f[1])
return 1
"""

_OWNER = """
local function owner_of(document)
  return string.match(document, '"owner":"([%w%-%._]*)"') or cjson.decode(document)['owner']
end
"""

#: Give back runs (node; then id, nominal, fence, fence without a node …), and end the node's lease unless other runs of it are
#: under way.
LEAVE = f"""{_OWNER}
local f, n = fields(ARGV[1])
for i = 2, n, 4 do
  local key = f[i] .. '\\0' .. f[i + 1]
  local document = call('HGET', RUNS, key)
  if document and starts(document, f[i + 2]) then
    call('HSET', RUNS, key, f[i + 3] .. string.sub(document, #f[i + 2] + 1))
  end
end
for _, document in ipairs(get(RUNS, call('ZRANGE', STATUS .. 'claimed', 0, -1))) do
  if document and owner_of(document) == f[1] then return 0 end
end
call('ZREM', NODES, f[1])
call('HDEL', ANSWERS, f[1])
return 1
"""

#: Return the claimed runs that no living node owns (now, and a node whose runs count too), oldest first: key and document in turn;
#: then the jobs of these runs: id, state and spec in turn.
ORPHANS = f"""{_OWNER}
local f = fields(ARGV[1])
local alive, runs, ids, seen = {{}}, {{}}, {{}}, {{}}
alive[''] = false
local keys = call('ZRANGE', STATUS .. 'claimed', 0, -1)
local documents = get(RUNS, keys)
for i, key in ipairs(keys) do
  local document = documents[i]
  if document then
    local owner = owner_of(document)
    if alive[owner] == nil then
      local lease = call('ZSCORE', NODES, owner)
      alive[owner] = owner ~= f[2] and lease and tonumber(lease) >= tonumber(f[1]) or false
    end
    if not alive[owner] then
      runs[#runs + 1] = key .. '\\0' .. document .. '\\0'
      local id = string.match(key, '^[^%z]*')
      if not seen[id] then seen[id] = true; ids[#ids + 1] = id end
    end
  end
end
local states, specs, jobs = get(STATES, ids), get(JOBS, ids), {{}}
for i, id in ipairs(ids) do jobs[i] = table.concat({{id, states[i] or '', specs[i] or '', ''}}, '\\0') end
return {{table.concat(runs), table.concat(jobs)}}
"""

#: Take or lose runs (node, token; then id, expected state, number of runs, and for each its nominal, score, expected document,
#: status and new document). A job of which anything is not as expected is left alone. Returns "1" or "0" for each job.
TAKE = """
local f, n = fields(ARGV[1])
local node, token = f[1], f[2]
local answered = call('HGET', ANSWERS, node)
if answered and starts(answered, token) then return string.sub(answered, #token + 1) end
local i, answer, lost = 3, {}, {}
while i <= n do
  local id, count = f[i], tonumber(f[i + 2])
  local fits = (call('HGET', STATES, id) or '') == f[i + 1]
  for r = 0, count - 1 do
    local first = i + 3 + 5 * r
    fits = fits and call('HGET', RUNS, id .. '\\0' .. f[first]) == f[first + 2]
  end
  answer[#answer + 1] = fits and '1' or '0'
  if fits then
    for r = 0, count - 1 do
      local first = i + 3 + 5 * r
      local key, status = id .. '\\0' .. f[first], f[first + 3]
      call('HSET', RUNS, key, f[first + 4])
      if status ~= 'claimed' then
        call('ZREM', STATUS .. 'claimed', key)
        call('ZADD', STATUS .. status, f[first + 1], key)
        lost[id] = (lost[id] or 0) + 1
      end
    end
  end
  i = i + 3 + 5 * count
end
count_down(lost)
local won = table.concat(answer)
call('HSET', ANSWERS, node, token .. won)
return won
"""

#: Return records (job id or nothing, limit, statuses …), newest first: key and document in turn.
RUNS = """
local f, n = fields(ARGV[1])
local limit, found = tonumber(f[2]), {}
if f[1] ~= '' then
  local wanted, offset = {}, 0
  for i = 3, n do wanted[f[i]] = true end
  while #found < limit do
    local keys = call('ZREVRANGEBYLEX', BY_JOB, '(' .. f[1] .. '\\1', '[' .. f[1] .. '\\0', 'LIMIT', offset, 500)
    local documents = get(RUNS, keys)
    for i, key in ipairs(keys) do
      local document = documents[i]
      if document and #found < limit and wanted[string.match(document, '^{"status":"([%l_]+)"')] then
        found[#found + 1] = key .. '\\0' .. document .. '\\0'
      end
    end
    if #keys < 500 then break end
    offset = offset + 500
  end
  return table.concat(found)
end
local newest = {}
for i = 3, n do
  local keys = call('ZREVRANGE', STATUS .. f[i], 0, limit - 1, 'WITHSCORES')
  for k = 1, #keys, 2 do newest[#newest + 1] = {tonumber(keys[k + 1]), keys[k]} end
end
table.sort(newest, function(a, b) if a[1] == b[1] then return a[2] > b[2] end return a[1] > b[1] end)
local keys = {}
for i = 1, math.min(limit, #newest) do keys[i] = newest[i][2] end
local documents = get(RUNS, keys)
for i, key in ipairs(keys) do
  if documents[i] then found[#found + 1] = key .. '\\0' .. documents[i] .. '\\0' end
end
return table.concat(found)
"""

_DELETE = """
local function delete(status, keys)
  if #keys == 0 then return end
  each('ZREM', STATUS .. status, keys)
  each('ZREM', BY_JOB, keys)
  each('HDEL', RUNS, keys)
end
"""

#: Return the nominal times of a job's records (id, padded time) from a time on, in order, some of them.
TIMES_FROM = """
local f = fields(ARGV[1])
local from, to = '[' .. f[1] .. '\\0' .. f[2], '(' .. f[1] .. '\\1'
local found = call('ZRANGEBYLEX', BY_JOB, from, to, 'LIMIT', 0, 500)
for i, key in ipairs(found) do found[i] = string.match(key, '[^%z]*$') end
return found
"""

#: Delete records that ended before an instant (status, instant, offset, limit). Returns how many were looked at, and deleted.
PRUNE_OLD = f"""{_DELETE}
local f = fields(ARGV[1])
local keys = call('ZRANGEBYSCORE', STATUS .. f[1], '-inf', '(' .. f[2], 'LIMIT', f[3], f[4])
local documents, old = get(RUNS, keys), {{}}
for i, key in ipairs(keys) do
  local finished = documents[i] and string.match(documents[i], '"finished":(%-?%d+)')
  if not finished or tonumber(finished) < tonumber(f[2]) then old[#old + 1] = key end
end
delete(f[1], old)
return {{#keys, #old}}
"""

#: Delete the oldest ended records of a job beyond a number (id, number, limit). Returns how many were deleted.
PRUNE_MANY = f"""{_DELETE}
local f = fields(ARGV[1])
local from, to = '[' .. f[1] .. '\\0', '(' .. f[1] .. '\\1'
local state = call('HGET', STATES, f[1])
local _, running = parse(state or '[0,0,]')
local excess = math.min(call('ZLEXCOUNT', BY_JOB, from, to) - running - tonumber(f[2]), tonumber(f[3]))
if excess <= 0 then return 0 end
local keys = call('ZRANGEBYLEX', BY_JOB, from, to, 'LIMIT', 0, excess + running)
local documents, of_status, n = get(RUNS, keys), {{}}, 0
for i, key in ipairs(keys) do
  local status = documents[i] and string.match(documents[i], '^{{"status":"([%l_]+)"')
  if status and status ~= 'claimed' and n < excess then add(of_status, status, key); n = n + 1 end
end
for status, old in pairs(of_status) do delete(status, old) end
return n
"""

#: Return jobs that have more records than a number, from a job on (id, number): the job to go on with, and ids.
CROWDED = """
local f = fields(ARGV[1])
local found = {''}
local from = f[1] == '' and '-' or '(' .. f[1] .. '\\1'
for _ = 1, 500 do
  local key = call('ZRANGEBYLEX', BY_JOB, from, '+', 'LIMIT', 0, 1)[1]
  if not key then found[1] = '' break end
  local id = string.match(key, '^[^%z]*')
  if call('ZLEXCOUNT', BY_JOB, '[' .. id .. '\\0', '(' .. id .. '\\1') > tonumber(f[2]) then found[#found + 1] = id end
  found[1] = id
  from = '(' .. id .. '\\1'
end
return found
"""

#: Forget nodes whose lease was over before an instant. Returns how many.
BURY = """
local gone = call('ZRANGEBYSCORE', NODES, '-inf', '(' .. fields(ARGV[1])[1])
if #gone > 0 then each('ZREM', NODES, gone); each('HDEL', ANSWERS, gone) end
return #gone
"""


class Script:
    """A script with the names of a store's keys.

    :ivar text: the script
    :ivar sha: its name on the server
    """

    __slots__ = ("sha", "text")

    def __init__(self, names: str, body: str) -> None:
        self.text = names + _PRELUDE + body
        self.sha = sha1(self.text.encode()).hexdigest()


def quoted(value: str) -> str:
    """Return a text as a Lua literal."""
    return '"' + "".join(f"\\{byte:03d}" for byte in value.encode()) + '"'
