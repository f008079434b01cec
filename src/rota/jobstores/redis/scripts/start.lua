-- Have waiting runs be under way on a node, or end them; those of one job together or not at all.
--
-- A job of which anything is not as it was found (R1, R4) is left alone.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  node, token, now;
--          for each job id, state as it was found, number of runs, its new spec and rest if the ends of these runs are counted
--          (else empty), and for each of them nominal time, document as it was found,
--          class and time as in the answer of waiting.lua, status, new document
-- ARGV[2]  the origin that wake-ups carry
-- ARGV[3]  what ends among these leave at other jobs; see _follow.lua
-- Returns  "1" or "0" for each job; or "+" and places: as there, nothing is done

-- include _follow

local f, n = fields(ARGV[1])
local node, token = f[1], f[2]
-- The very same request may come twice.
local answered = call('HGET', ANSWERS, node)
if answered and starts(answered, token) then return sub(answered, #token + 1) end
local lease = call('ZSCORE', NODES, node)
local is_alive = lease and tonumber(lease) >= tonumber(f[3])
local followed, written = followers(), {}
if #followed > 0 then
  local taken = met(followed, function() return true end)
  if taken then return taken end
end
local i, answer = 4, {}
while i <= n do
  local id, count = f[i], tonumber(f[i + 2])
  local state = call('HGET', STATES, id)
  local fits = is_alive and shown(state or '') == f[i + 1]  -- R1, R2
  for first = i + 5, i + 6 * count - 1, 6 do
    local document = call('HGET', RUNS, id .. '\0' .. f[first])
    fits = fits and document and shown(document) == f[first + 1]  -- R4
  end
  answer[#answer + 1] = fits and '1' or '0'
  if fits then
    local taken, lost, failed = 0, 0, nil
    if f[i + 3] ~= '' then
      write_counted(id, f[i + 3], f[i + 4])
      state = call('HGET', STATES, id)
    end
    for first = i + 5, i + 6 * count - 1, 6 do
      local nominal, _, class, time, status, document = unpack(f, first, first + 5)
      local key, member = id .. '\0' .. nominal, table.concat({id, class, time, nominal}, '\0')
      if status == 'claimed' then
        call('HSET', CLAIMED, key, document)
        call('HDEL', CANCELS, key)  -- of what was executed before
        take_out(key, member)
        if class ~= '0' then taken = taken + 1 end
      else
        if sub(document, -12) == '"damaged":1}' then keep(key, call('HGET', RUNS, key)) end
        end_waiting(key, member, status, document)
        written[key] = true
        failed = FAILURES[status]
        if class == '0' then lost = lost + 1 end
      end
    end
    if taken > 0 then  -- R3
      local version, running, rest = parse(state)
      call('HSET', STATES, id, make(version, running + taken, rest))
    end
    if lost > 0 then count_down({[id] = lost}, {[id] = failed}) end  -- R6
    settle(id, failed)
  end
  i = i + 5 + 6 * count
end
follow(followed, function(key) return written[key] end)
local won = table.concat(answer)
call('HSET', ANSWERS, node, token .. won)
return won
