-- Remove a job.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id
-- Returns  1, or 0 if there is none

-- include _remove

local id = fields(ARGV[1])[1]
local state = call('HGET', STATES, id)
if not state then return 0 end
local _, _, rest = parse(state)
if is_ended(rest) then return 0 end
remove(id, state)
return 1
