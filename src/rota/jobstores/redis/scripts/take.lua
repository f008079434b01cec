-- Take over runs of dead nodes, or end them; those of one job together or not at all.
--
-- A job of which anything is not as it was found (R1, R4), or whose owner is alive again, is left alone.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  node, token, now;
--          for each job id, state as it was found, number of runs, its new spec and rest if the ends of these runs are counted
--          (else empty), and for each of them nominal time, document as it was
--          found, status, new document
-- ARGV[2]  the origin that wake-ups carry
-- ARGV[3]  what ends among these leave at other jobs; see _follow.lua
-- Returns  "1" or "0" for each job; or "+" and places: as there, nothing is done

-- include _alive
-- include _follow

local f, n = fields(ARGV[1])
local node, token, now = f[1], f[2], tonumber(f[3])
-- The very same request may come twice.
local answered = call('HGET', ANSWERS, node)
if answered and starts(answered, token) then return sub(answered, #token + 1) end
local followed, written = followers(), {}
if #followed > 0 then
  local taken = met(followed, function() return true end)
  if taken then return taken end
end
local i, answer, lost, failed = 4, {}, {}, {}
while i <= n do
  local id, count = f[i], tonumber(f[i + 2])
  local fits = shown(call('HGET', STATES, id) or '') == f[i + 1]  -- R1
  for first = i + 5, i + 4 * count + 1, 4 do
    local owner = owner_of(f[first + 1])
    local document = call('HGET', CLAIMED, id .. '\0' .. f[first])
    fits = fits and document and shown(document) == f[first + 1]  -- R4
      and (sub(f[first + 3], -12) == '"damaged":1}' or not owner or owner == '' or owner == node or not is_alive(owner, now))
  end
  answer[#answer + 1] = fits and '1' or '0'
  if fits then
    if f[i + 3] ~= '' then write_counted(id, f[i + 3], f[i + 4]) end
    for first = i + 5, i + 4 * count + 1, 4 do
      local key, status, document = id .. '\0' .. f[first], f[first + 2], f[first + 3]
      if status == 'claimed' then
        call('HSET', CLAIMED, key, document)
      else
        if sub(f[first + 3], -12) == '"damaged":1}' then keep(key, call('HGET', CLAIMED, key)) end
        write({key}, {key, document}, {[status] = {score(f[first]), key}})
        call('HDEL', CLAIMED, key)
        written[key] = true
        lost[id] = (lost[id] or 0) + 1
        failed[id] = FAILURES[status]
      end
    end
  end
  i = i + 5 + 4 * count
end
follow(followed, function(key) return written[key] end)
count_down(lost, failed)  -- R6
local won = table.concat(answer)
call('HSET', ANSWERS, node, token .. won)
return won
