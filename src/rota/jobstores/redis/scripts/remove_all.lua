-- Remove all jobs.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  now
-- Returns  the keys and documents of the runs that were cancelled

-- include _waiting
-- include _remove

local all = call('HGETALL', STATES)
local now = fields(ARGV[1])[1]
for i = 1, #all, 2 do
  local id, state = all[i], all[i + 1]
  if has_waiting(id) then
    cancel_all(id, now)
    state = call('HGET', STATES, id)  -- it is counted anew
  end
  if state then remove(id, state) end
end
return ended
