-- Write a job and everything by which it is found.

-- Return rest and due time of a job of which no runs are under way: it waits for none (R6).
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
  call(starts(rest, '"quarantined"') and 'SADD' or 'SREM', QUARANTINED, id)
  place(id, executor, due)
end
