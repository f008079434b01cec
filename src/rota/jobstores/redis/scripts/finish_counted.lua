-- Write how a run has ended (R5), with what that counts towards the pause of its job after failures in a row, and let the job go on (R6).
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id, nominal time, status, fence, document; state of the job as it was found, its new spec and rest
-- ARGV[2]  the origin that wake-ups carry
-- ARGV[3]  what this end leaves at other jobs; see _follow.lua
-- Returns  "1", "2" (it has failed, and somebody had asked it to stop), "=" (that end was recorded before) or "0" (refused); "changed" if the job is not as it was found, and nothing was
--          written; or "+" and places: as there, nothing is done

-- include _follow

local f = fields(ARGV[1])
local id, nominal, status, fence, document, found, spec, rest = unpack(f, 1, 8)
local key = id .. '\0' .. nominal
local known = call('HGET', CLAIMED, key)
if not known or not starts(known, fence) then  -- R5
  if call('HGET', RUNS, key) ~= document then return '0' end
  return call('HGET', JOBS, id) == spec and '1' or '='  -- the very same request may come twice
end
if is_asked_to_stop(known, fence, status) then return '2' end
if shown(call('HGET', STATES, id) or '') ~= found then return 'changed' end
local function is_written(parent) return parent == key end
local followed = followers()
local taken = met(followed, is_written)
if taken then return taken end
write({key}, {key, document}, {[status] = {score(nominal), key}})  -- may be refused, and may be done again
call('HDEL', CLAIMED, key)
follow(followed, is_written)
write_counted(id, spec, rest)
count_down({[id] = 1}, {[id] = FAILURES[status]})  -- R6
return '1'
