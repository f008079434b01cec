"""The scripts of the claim protocol: claim, finish, leases, orphans; and reading and deleting records."""

from __future__ import annotations

from ...clock import DAY, LEASE, SECOND
from ..server_clock import AHEAD
from .lua import VERSION_DIGITS

#: The longest lease, and the one that is taken for a length that is none, in microseconds.
LONGEST = 30 * DAY
USUAL = int(LEASE * SECOND)

#: Carry out decisions (node, now, token, how often the node's lease was renewed and until when it lasts, as the node knows; number
#: of ranges, and for each range in which no other record may be its place among the records, id, first and last nominal; then id,
#: version, runs, limit, rest, executor, due, number of records, and for each record nominal, status, document). Returns "1" or "0"
#: for each; "?" for a node without a lease; "-" if its lease is over; "!" and the identity of the store if its lease is not as it
#: was; "=" and the places of the records whose nominal time has one already (then nothing is done).
CLAIM = """
local f, n = fields(ARGV[1])
local node, now, token = f[1], tonumber(f[2]), f[3]
local answered = call('HGET', ANSWERS, node)
if answered and starts(answered, token) then return sub(answered, #token + 1) end
local lease, known = call('ZSCORE', NODES, node), tonumber(f[4])
local renewals = lease and (tonumber(call('HGET', META, 'renewals ' .. node) or '0') or known)
if known > 0 and (lease and renewals < known or not lease and now <= tonumber(f[5])) then
  return '!' .. (call('HGET', META, 'identity') or '')
end
if not lease then return '?' end
if tonumber(lease) < now then return '-' end
local at, ids, i, taken, current = {}, {}, 7, {}, {}
for _, key in ipairs(f[6] == '0' and {} or call('HKEYS', CLAIMED)) do add(current, match(key, '^[^%z]*'), key) end
for _ = 1, tonumber(f[6]) do
  local from, to = f[i + 1] .. '\\0' .. f[i + 2], f[i + 1] .. '\\0' .. f[i + 3]
  local met = call('ZRANGEBYLEX', BY_JOB, '(' .. from, '[' .. to, 'LIMIT', 0, 1)[1]
  for _, key in ipairs(current[f[i + 1]] or {}) do
    if key > from and key <= to then met = key end
  end
  if met then taken[#taken + 1] = f[i] end
  i = i + 4
end
if #taken > 0 then return '=' .. table.concat(taken, ',') end
while i <= n do
  at[#at + 1] = i
  ids[#ids + 1] = f[i]
  i = i + 8 + 3 * tonumber(f[i + 7])
end
local states, won = get(STATES, ids), {}
local keys, places, claimed = {}, {}, {}
local ended, documents, of_status = {}, {}, {}
local changed, gone, broken, due, done = {}, {}, {}, {}, {}
local records = 0
for d, i in ipairs(at) do
  local id, state, count = ids[d], states[d], tonumber(f[i + 7])
  won[d] = '0'
  if state then
    local version, running = parse(state)
    local runs, rest = tonumber(f[i + 2]), f[i + 4]
    if version == f[i + 1] and (runs == 0 or running < tonumber(f[i + 3])) then
      won[d] = '1'
      keep_state(id, state)
      running = running + runs
      if running <= 0 and is_ended(rest) then
        gone[#gone + 1] = id
      else
        changed[#changed + 1] = id
        changed[#changed + 1] = make(raised(version), running, rest)
      end
      if f[i + 6] == '' then add(done, f[i + 5], id) else add(due, f[i + 5], f[i + 6]); add(due, f[i + 5], id) end
      if starts(rest, '"quarantined"') then
        broken[#broken + 1] = id
        -- What it is damaged in may be the name of its executor.
        for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do add(done, executor, id) end
      end
      for r = 0, count - 1 do
        local first = i + 8 + 3 * r
        local key, status = id .. '\\0' .. f[first], f[first + 1]
        keys[#keys + 1] = key
        places[#places + 1] = records + r
        if status == 'claimed' then
          claimed[#claimed + 1] = key
          claimed[#claimed + 1] = f[first + 2]
        else
          ended[#ended + 1] = key
          documents[#documents + 1] = key
          documents[#documents + 1] = f[first + 2]
          add(of_status, status, score(f[first]))
          add(of_status, status, key)
        end
      end
    end
  end
  records = records + count
end
local over, under_way = get(RUNS, keys), get(CLAIMED, keys)
for r = 1, #keys do
  if over[r] or under_way[r] then taken[#taken + 1] = places[r] end
end
if #taken > 0 then return '=' .. table.concat(taken, ',') end
-- What may be refused, as its key is of another kind, comes first, and may be done again; what was read comes last.
write(ended, documents, of_status)
each('SADD', BROKEN, broken)
for executor, values in pairs(due) do each('ZADD', TIMES .. executor, values) end
for executor, values in pairs(done) do each('ZREM', TIMES .. executor, values) end
each('HDEL', JOBS, gone)
each('HSET', CLAIMED, claimed)
each('HSET', STATES, changed)
each('HDEL', STATES, gone)
local answer = table.concat(won)
call('HSET', ANSWERS, node, token .. answer)
return answer
"""

#: Return records of a job around a nominal time (id, nominal, how many before it, how many from it on), and its runs under way:
#: nominal and document in turn.
RECORDED = """
local f = fields(ARGV[1])
local id, found = f[1], {}
local beginning = id .. '\\0'
local function show_all(keys, key)
  local documents = get(key, keys)
  for i, name in ipairs(keys) do
    if documents[i] and is_key(name) then
      found[#found + 1] = sub(name, #beginning + 1) .. '\\0' .. shown(documents[i]) .. '\\0'
    end
  end
end
local since = beginning .. f[2]
local current = {}
for _, name in ipairs(call('HKEYS', CLAIMED)) do
  if starts(name, beginning) then current[#current + 1] = name end
end
show_all(current, CLAIMED)
show_all(call('ZREVRANGEBYLEX', BY_JOB, '(' .. since, '[' .. beginning, 'LIMIT', 0, f[3]), RUNS)
show_all(call('ZRANGEBYLEX', BY_JOB, '[' .. since, '(' .. id .. '\\1', 'LIMIT', 0, f[4]), RUNS)
return table.concat(found)
"""

#: Write how runs ended (id, nominal, status, fence, document …). Returns "1" or "0" (refused) for each.
FINISH = """
local f, n = fields(ARGV[1])
local keys = {}
for i = 1, n, 5 do keys[#keys + 1] = f[i] .. '\\0' .. f[i + 1] end
local known, answer, ended = get(CLAIMED, keys), {}, {}
local over, documents, of_status = {}, {}, {}
for r, key in ipairs(keys) do
  local i = 5 * r - 4
  local document = known[r]
  if document and starts(document, f[i + 3]) then
    answer[r] = '1'
    over[#over + 1] = key
    documents[#documents + 1] = key
    documents[#documents + 1] = f[i + 4]
    add(of_status, f[i + 2], score(f[i + 1]))
    add(of_status, f[i + 2], key)
    ended[f[i]] = (ended[f[i]] or 0) + 1
  else
    answer[r] = call('HGET', RUNS, key) == f[i + 4] and '1' or '0'
  end
end
write(over, documents, of_status)  -- may be refused, and may be done again
each('HDEL', CLAIMED, over)
count_down(ended)
return table.concat(answer)
"""

_OWNER = """
-- The node of a run; nothing if the document is damaged.
local function owner_of(document)
  local owner = match(document, '"owner":"([%w%-%._]*)"')
  if owner then return owner end
  local whole, run = pcall(cjson.decode, document)
  if not whole or type(run) ~= 'table' then return nil end
  owner = run['owner']
  if owner == nil or owner == cjson.null then return '' end
  return type(owner) == 'string' and owner or nil
end
"""

#: Begin or prolong a lease (node, now, until, whether runs are in hand, whether to look at them anyway; identity of the store, how
#: often the lease was renewed and until when it lasts, as the node knows). Returns how often it has been renewed, and nothing if it
#: had not run out, else the runs that the node has: "=", and key and attempt in turn. If the store is not the one that it was, it
#: changes nothing, and returns what there is of it instead: "?", its identity, and how often the lease was renewed.
RENEW = f"""{_OWNER}
local f = fields(ARGV[1])
local identity, before = call('HGET', META, 'identity') or '', call('ZSCORE', NODES, f[1])
local renewals = before and (call('HGET', META, 'renewals ' .. f[1]) or '0')
local is_none = renewals and not (match(renewals, '^%d+$') and #renewals <= {VERSION_DIGITS})
renewals = is_none and tonumber(f[7]) or tonumber(renewals)
local known = tonumber(f[7])
if identity ~= f[6] or (not before and known > 0 and tonumber(f[2]) <= tonumber(f[8])) or (before and renewals < known) then
  return {{'?', identity, renewals and tostring(renewals) or ''}}
end
call('ZADD', NODES, f[3], f[1])
call('HSET', META, 'length ' .. f[1], string.format('%d', tonumber(f[3]) - tonumber(f[2])))
if is_none then call('HDEL', META, 'renewals ' .. f[1]) end  -- it begins anew
renewals = tostring(call('HINCRBY', META, 'renewals ' .. f[1], 1))
local ran = before and tonumber(before) >= tonumber(f[2])
if (ran and f[5] == '') or (not before and f[4] == '') then return {{renewals, ''}} end
local all, found = call('HGETALL', CLAIMED), {{'='}}
for i = 1, #all, 2 do
  if owner_of(all[i + 1]) == f[1] and is_key(all[i]) then
    found[#found + 1] = all[i] .. '\\0' .. (match(all[i + 1], '"attempt":(%d+)') or '') .. '\\0'
  end
end
return {{renewals, table.concat(found)}}
"""

#: Give back runs (node; then id, nominal, fence, fence without a node …), and end the node's lease unless other runs of it are
#: under way.
LEAVE = f"""{_OWNER}
local f, n = fields(ARGV[1])
for i = 2, n, 4 do
  local key = f[i] .. '\\0' .. f[i + 1]
  local document = call('HGET', CLAIMED, key)
  if document and starts(document, f[i + 2]) then
    call('HSET', CLAIMED, key, f[i + 3] .. sub(document, #f[i + 2] + 1))
  end
end
for _, document in ipairs(call('HVALS', CLAIMED)) do
  if owner_of(document) == f[1] then return 0 end
end
call('ZREM', NODES, f[1])
call('HDEL', ANSWERS, f[1])
call('HDEL', META, 'length ' .. f[1], 'renewals ' .. f[1])
return 1
"""

_ALIVE = f"""{_OWNER}
local function is_alive(owner, now)
  local lease = tonumber(call('ZSCORE', NODES, owner) or '') or -math.huge
  local length = tonumber(call('HGET', META, 'length ' .. owner) or '')
  if not length or length ~= length or length < 0 or length > {LONGEST} then length = {USUAL} end
  if lease - length > now + {AHEAD} then  -- it was renewed before the clock was set back, and counts from now
    lease = now + length
    call('ZADD', NODES, string.format('%d', lease), owner)
  end
  return lease >= now
end
"""

#: Return the claimed runs that no living node owns (now, the node that asks, whether its own count too, whether those of nodes
#: that seem to be dead are left out): key and document in turn; nothing if the lease of the node that asks is over;
#: then the jobs of these runs: id, state and spec in turn.
ORPHANS = f"""{_ALIVE}
local f = fields(ARGV[1])
local now = tonumber(f[1])
local mine = call('ZSCORE', NODES, f[2])
if not mine or tonumber(mine) < now then return {{'', ''}} end
local others, runs, ids, seen = {{}}, {{}}, {{}}, {{}}
local all = call('HGETALL', CLAIMED)
counted = {{}}
for i = 1, #all, 2 do
  local key, document = all[i], all[i + 1]
  local owner = owner_of(document) or '\\1'
  if not is_key(key) then  -- no run has such a key
    keep(key, document)
    call('HDEL', CLAIMED, key)
    owner = '\\2'
    others[owner] = true
  else
    local of = match(key, '^[^%z]*')
    counted[of] = (counted[of] or 0) + 1
  end
  if others[owner] == nil then
    if owner == '\\1' then
      others[owner] = false
    elseif owner == '' then
      others[owner] = false
    elseif owner == f[2] then
      others[owner] = f[3] == ''
    else
      others[owner] = f[4] ~= '' or is_alive(owner, now)
    end
  end
  if not others[owner] then
    runs[#runs + 1] = key .. '\\0' .. shown(document) .. '\\0'
    local id = match(key, '^[^%z]*')
    if not seen[id] then seen[id] = true; ids[#ids + 1] = id end
  end
end
local states, specs, jobs = get(STATES, ids), get(JOBS, ids), {{}}
for i, id in ipairs(ids) do
  local state = states[i]
  if state then
    local version, running, rest = parse(state)
    if version ~= '-1' and running ~= counted[id] then  -- the runs are right
      state = make(version, counted[id], rest)
      call('HSET', STATES, id, state)
    end
  end
  jobs[i] = table.concat({{id, shown(state or ''), shown(specs[i] or ''), ''}}, '\\0')
end
return {{table.concat(runs), table.concat(jobs)}}
"""

#: Take or lose runs (node, token, now; then id, expected state, number of runs, and for each its nominal, expected document, status
#: and new document). A job of which anything is not as expected, or whose owner is alive again, is left alone. Returns "1" or "0"
#: for each job.
TAKE = f"""{_ALIVE}
local f, n = fields(ARGV[1])
local node, token, now = f[1], f[2], tonumber(f[3])
local answered = call('HGET', ANSWERS, node)
if answered and starts(answered, token) then return sub(answered, #token + 1) end
local i, answer, lost = 4, {{}}, {{}}
while i <= n do
  local id, count = f[i], tonumber(f[i + 2])
  local fits = shown(call('HGET', STATES, id) or '') == f[i + 1]
  for first = i + 3, i + 4 * count - 1, 4 do
    local owner = owner_of(f[first + 1])
    local document = call('HGET', CLAIMED, id .. '\\0' .. f[first])
    fits = fits and document and shown(document) == f[first + 1]
      and (sub(f[first + 3], -12) == '"damaged":1}}' or not owner or owner == '' or owner == node or not is_alive(owner, now))
  end
  answer[#answer + 1] = fits and '1' or '0'
  if fits then
    for first = i + 3, i + 4 * count - 1, 4 do
      local key, status, document = id .. '\\0' .. f[first], f[first + 2], f[first + 3]
      if status == 'claimed' then
        call('HSET', CLAIMED, key, document)
      else
        if sub(f[first + 3], -12) == '"damaged":1}}' then keep(key, call('HGET', CLAIMED, key)) end
        write({{key}}, {{key, document}}, {{[status] = {{score(f[first]), key}}}})
        call('HDEL', CLAIMED, key)
        lost[id] = (lost[id] or 0) + 1
      end
    end
  end
  i = i + 3 + 4 * count
end
count_down(lost)
local won = table.concat(answer)
call('HSET', ANSWERS, node, token .. won)
return won
"""

#: Return records (job id or nothing, limit, statuses …), at most so many of each kind: key and document in turn.
RUNS = """
local f, n = fields(ARGV[1])
local limit, wanted, found = tonumber(f[2]), {}, {}
for i = 3, n do wanted[f[i]] = true end
if wanted['claimed'] then
  local all, beginning = call('HGETALL', CLAIMED), f[1] .. '\\0'
  for i = 1, #all, 2 do
    if (f[1] == '' or starts(all[i], beginning)) and is_key(all[i]) then
      found[#found + 1] = all[i] .. '\\0' .. shown(all[i + 1]) .. '\\0'
    end
  end
end
if f[1] == '' then
  for i = 3, n do
    local keys = call('ZREVRANGE', STATUS .. f[i], 0, limit - 1)
    local documents = get(RUNS, keys)
    for k, key in ipairs(keys) do
      if documents[k] and is_key(key) then found[#found + 1] = key .. '\\0' .. shown(documents[k]) .. '\\0' end
    end
  end
  return table.concat(found)
end
local offset, count = 0, 0
while count < limit do
  local keys = call('ZREVRANGEBYLEX', BY_JOB, '(' .. f[1] .. '\\1', '[' .. f[1] .. '\\0', 'LIMIT', offset, 500)
  local documents = get(RUNS, keys)
  for i, key in ipairs(keys) do
    local document = documents[i]
    if document and count < limit and wanted[match(document, '^{"status":"([%l_]+)"')] and is_key(key) then
      found[#found + 1] = key .. '\\0' .. shown(document) .. '\\0'
      count = count + 1
    end
  end
  if #keys < 500 then break end
  offset = offset + 500
end
return table.concat(found)
"""

_DELETE = """
local function delete(status, keys)
  each('ZREM', STATUS .. status, keys)
  each('ZREM', BY_JOB, keys)
  each('HDEL', RUNS, keys)
end
"""

#: Delete those of some records that ended before an instant (status, instant, least nominal time, how many are looked at). Returns
#: the nominal time to go on from (nothing at the end), how many were deleted, and how many are left from there on.
PRUNE_OLD = f"""{_DELETE}
local f = fields(ARGV[1])
local name, before, from, count = STATUS .. f[1], '(' .. f[2], f[3], tonumber(f[4])
local found = call('ZRANGEBYSCORE', name, from, before, 'WITHSCORES', 'LIMIT', 0, count)
local keys = {{}}
for i = 1, #found, 2 do keys[#keys + 1] = found[i] end
local documents, old = get(RUNS, keys), {{}}
for i, key in ipairs(keys) do
  local finished = documents[i] and match(documents[i], '"finished":(%-?%d+)')
  if not finished or tonumber(finished) < tonumber(f[2]) then old[#old + 1] = key end
end
delete(f[1], old)
if #keys < count then return {{'', #old, 0}} end
local last = found[#found]
-- Of more records of one nominal time than are looked at, those behind the ones that stay are left to a later time.
if #old == 0 and found[2] == last then last = '(' .. last end
return {{last, #old, call('ZCOUNT', name, last, before)}}
"""

#: Delete the oldest ended records of a job beyond a number (id, number, limit). Returns how many are left beyond it.
PRUNE_MANY = f"""{_DELETE}
local f = fields(ARGV[1])
local from, to = '[' .. f[1] .. '\\0', '(' .. f[1] .. '\\1'
local beyond = call('ZLEXCOUNT', BY_JOB, from, to) - tonumber(f[2])
local excess = math.min(beyond, tonumber(f[3]))
if excess <= 0 then return 0 end
local keys = call('ZRANGEBYLEX', BY_JOB, from, to, 'LIMIT', 0, excess)
local documents, of_status = get(RUNS, keys), {{}}
for i, key in ipairs(keys) do
  add(of_status, documents[i] and match(documents[i], '^{{"status":"([%l_]+)"') or '', key)
end
for status, old in pairs(of_status) do delete(status, old) end
return beyond - excess
"""

#: Return jobs that have more records than a number, from a job on (id, number, how many are looked at): the job to go on with, and
#: ids.
CROWDED = """
local f = fields(ARGV[1])
local found = {''}
local from = f[1] == '' and '-' or '(' .. f[1] .. '\\1'
for _ = 1, tonumber(f[3]) do
  local key = call('ZRANGEBYLEX', BY_JOB, from, '+', 'LIMIT', 0, 1)[1]
  if not key then found[1] = '' break end
  local id = match(key, '^[^%z]*')
  if call('ZLEXCOUNT', BY_JOB, '[' .. id .. '\\0', '(' .. id .. '\\1') > tonumber(f[2]) then found[#found + 1] = id end
  found[1] = id
  from = '(' .. id .. '\\1'
end
return found
"""

#: Return how many nodes have a lease that is not over at an instant.
LIVING = """
return call('ZCOUNT', NODES, fields(ARGV[1])[1], '+inf')
"""

#: Forget some nodes whose lease was over before an instant (instant, limit). Returns how many.
BURY = """
local f = fields(ARGV[1])
local gone = call('ZRANGEBYSCORE', NODES, '-inf', '(' .. f[1], 'LIMIT', 0, f[2])
each('ZREM', NODES, gone)
each('HDEL', ANSWERS, gone)
local fields = {}
for i, node in ipairs(gone) do fields[2 * i - 1], fields[2 * i] = 'length ' .. node, 'renewals ' .. node end
each('HDEL', META, fields)
return #gone
"""
