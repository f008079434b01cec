-- Take possession of the keys, unless they are somebody else's.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  whether what is not there may be made (empty: no), an identity for a new store
-- Returns  the schema version, "foreign" or "missing"; and the identity, empty if there is none

local kind = call('TYPE', META)['ok']
if kind ~= 'none' and kind ~= 'hash' then return {'foreign', ''} end
local version = call('HGET', META, 'schema')
if not version then
  if call('EXISTS', META, JOBS, STATES, EXECUTORS, CLAIMED, RUNS, BY_JOB, NODES, ANSWERS, QUARANTINED, IDS) > 0 then
    return {'foreign', ''}
  end
  if fields(ARGV[1])[1] == '' then return {'missing', ''} end
  version = VERSION
  call('HSET', META, 'schema', VERSION)
end
if version == VERSION and not match(call('HGET', META, 'identity') or '', '^%w+$') then
  call('HSET', META, 'identity', fields(ARGV[1])[2])
end
return {version, call('HGET', META, 'identity') or ''}
