-- Runs that wait: how they are found.

-- Return the member of WAITING that stands for a waiting run, nothing if its document is damaged.
local function member_of(key, document)
  local time = match(document, ',"not_before":(%d+)')
  local id, nominal = match(key, '^([^%z]*)%z(.*)$')
  if not time or not id or #time > 19 then return nil end
  local class = '2'
  for word, of_word in pairs({retry = '0', snoozed = '0', manual = '1', rerun = '1'}) do
    if find(document, '\\"waiting_for\\":\\"' .. word .. '\\"', 1, true) then class = of_word end
  end
  return table.concat({id, class, string.rep('0', 19 - #time) .. time, nominal}, '\0')
end

-- Return the key of the run for which a member stands, its class, and its time.
local function key_of(member)
  local id, class, time, nominal = match(member, '^([^%z]*)%z(.)%z(%d+)%z(.*)$')
  if not id then return '', '', '' end
  return id .. '\0' .. nominal, class, time
end

-- Have a job and a class be found by the earliest of its waiting runs.
local function find_by_first(id, class)
  local from = id .. '\0' .. class
  local first = call('ZRANGEBYLEX', WAITING, '[' .. from .. '\0', '(' .. from .. '\1', 'LIMIT', 0, 1)[1]
  if not first then
    call('ZREM', WAITING_JOBS, class .. id)
    return
  end
  local _, _, time = key_of(first)
  call('ZADD', WAITING_JOBS, time, class .. id)
end

-- Have a run wait.
local function enter(member)
  call('ZADD', WAITING, 0, member)
  local id, class = match(member, '^([^%z]*)%z(.)')
  find_by_first(id, class)
end

-- Have a run wait no more.
local function leave(member)
  call('ZREM', WAITING, member)
  local id, class = match(member, '^([^%z]*)%z(.)')
  if id then find_by_first(id, class) end
end

-- Write the record of a run that waits, and wake others up if it comes first.
local function write_waiting(key, document)
  local member = member_of(key, document)
  local first = call('ZRANGE', WAITING_JOBS, 0, 0, 'WITHSCORES')[2]
  local _, _, time = key_of(member)
  if not first or tonumber(time) < tonumber(first) then call('PUBLISH', WAKE, ARGV[2]) end
  write({key}, {key, document}, {waiting = {score(match(key, '%z(.*)$')), key}})
  enter(member)
end

-- Take the record of a waiting run out of the ledger.
local function take_out(key, member)
  leave(member)
  call('ZREM', STATUS .. 'waiting', key)
  call('ZREM', BY_JOB, key)
  call('HDEL', RUNS, key)
end

-- Write how a waiting run has ended.
local function end_waiting(key, member, status, document)
  leave(member)
  call('ZREM', STATUS .. 'waiting', key)
  write({key}, {key, document}, {[status] = {score(match(key, '%z(.*)$')), key}})
end

-- Forget a job whose schedule is over if nothing of it is under way or waits any more.
--
-- failed  whether its last run has not ended well: then it stays
local function settle(id, failed)
  local state = call('HGET', STATES, id)
  if not state then return end
  local version, running, rest = parse(state)
  if version ~= '-1' and running <= 0 and is_ended(rest) and not has_waiting(id) and not (failed and stays(id, 0)) then
    forget(id)
  end
end
