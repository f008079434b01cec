-- Remove a job; what counts its unfinished runs stays until they have ended.

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
