-- Replace a job.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id, the version that it must have (empty: any), spec (empty: it stays), rest, executor, due time
-- ARGV[2]  the origin that wake-ups carry
-- ARGV[3]  tag and id of each of its tags
-- Returns  "gone", "changed", or the new version

-- include _put
-- include _tag

local f = fields(ARGV[1])
local id, expected, spec, rest, executor, due = unpack(f)
local state = call('HGET', STATES, id)
if not state then return 'gone' end
local version, running, before = parse(state)
if is_ended(before) and not stays(id, running) and not has_waiting(id) then return 'gone' end
if expected ~= '' and expected ~= version then  -- R1
  -- The very same request may come twice.
  local again = version == raised(expected) and state == make(version, running, rest) and call('HGET', JOBS, id) == spec
  return again and version or 'changed'
end
version = raised(version)
if ARGV[3] then tag(fields(ARGV[3])) end
put(id, spec, version, running, rest, executor, due, state)
return version
