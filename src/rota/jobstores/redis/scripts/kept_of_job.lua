-- Return what is kept beside a job.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id
-- Returns  its spec, its edits, how long its runs took; nothing if there is no such job

local id = fields(ARGV[1])[1]
local state, spec = call('HGET', STATES, id), call('HGET', JOBS, id)
if not state or not spec then return {} end
local _, _, rest = parse(state)
if is_ended(rest) then return {} end
return {spec, call('HGET', CHANGES, id) or '', call('HGET', DURATIONS, id) or ''}
