-- Remove a job.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id; now, if runs of the job wait: they are cancelled
-- Returns  1, or 0 if there is none; "waiting" if that instant is needed; with it, the keys and documents of the runs that were
--          cancelled

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
  cancel_all(id, f[2])
  state = call('HGET', STATES, id)  -- it is counted anew
end
if state then remove(id, state) end
if waits then return ended end
return 1
