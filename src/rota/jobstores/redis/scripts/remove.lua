-- Remove a job.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id; now, if runs of the job wait: they are cancelled
-- ARGV[2]  the origin that wake-ups carry
-- ARGV[3]  what the ends of these leave at other jobs; see _follow.lua
-- Returns  1, or 0 if there is none; "waiting" if that instant is needed; with it, the keys and documents of the runs that were
--          cancelled; or "+" and places: as there, nothing is done

-- include _follow
-- include _remove

local f = fields(ARGV[1])
local id = f[1]
local state = call('HGET', STATES, id)
if not state then return 0 end
local _, running, rest = parse(state)
local waits = has_waiting(id)
if is_ended(rest) and not waits and not stays(id, running) then return 0 end
if waits then
  if not f[2] then return 'waiting' end
  local followed = followers()
  local taken = met(followed, function() return true end)
  if taken then return taken end
  cancel_all(id, f[2])
  local written = {}
  for i = 1, #ended, 2 do written[ended[i]] = true end
  follow(followed, function(key) return written[key] end)
  state = call('HGET', STATES, id)  -- it is counted anew
end
if state then remove(id, state) end
if waits then return ended end
return 1
