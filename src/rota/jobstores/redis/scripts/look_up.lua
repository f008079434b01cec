-- Return jobs by their ids.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  ids
-- Returns  id, spec and state of each, each ended by a NUL

local ids = fields(ARGV[1])
local states, specs, found = get(STATES, ids), get(JOBS, ids), {}
for i = 1, #ids do
  if states[i] and is_job(specs[i], states[i]) then show(found, ids[i], specs[i], states[i]) end
end
return table.concat(found)
