-- Remove a job; what counts its unfinished runs stays until they have ended.

local ended = {}

-- Cancel the waiting runs of a job that is about to be removed; their keys and documents are in `ended` then.
local function cancel_all(id, now)
  local name, func = match(call('HGET', JOBS, id) or '', '^%[".-", (".-"), (".-"), "')
  local label = name and ',"name":' .. name .. ',"func":' .. func or ''
  local lost = 0
  for _, member in ipairs(call('ZRANGEBYLEX', WAITING, '[' .. id .. '\0', '(' .. id .. '\1')) do
    local key, class = key_of(member)
    local document = call('HGET', RUNS, key)
    if document and match(document, '^{"status":"waiting"') then
      document = string.gsub(document, ',"not_before":%-?%d+', '', 1)
      document = string.gsub(document, '^{"status":"waiting"', '{"status":"cancelled"', 1)
      local reason = ',"finished":' .. now .. ',"reason":"job removed"'
      document = sub(document, 1, -2) .. reason .. label .. '}'
      end_waiting(key, member, 'cancelled', document)
      ended[#ended + 1] = key
      ended[#ended + 1] = document
      if class == '0' then lost = lost + 1 end
    else
      leave(member)
    end
  end
  if lost > 0 then count_down({[id] = lost}) end
end

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
