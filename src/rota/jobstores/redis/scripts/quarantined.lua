-- Return a part of the jobs in quarantine.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  cursor, about how many
-- Returns  the next cursor; id, spec and state of each, each ended by a NUL; how many there are

local f = fields(ARGV[1])
local step = call('SSCAN', QUARANTINED, f[1], 'COUNT', f[2])
local ids, found = step[2], {}
local states, specs = get(STATES, ids), get(JOBS, ids)
for i = 1, #ids do
  if states[i] and is_job(specs[i], states[i]) then show(found, ids[i], specs[i], states[i]) end
end
return {step[1], table.concat(found), call('SCARD', QUARANTINED)}
