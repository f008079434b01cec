-- Write the keys of a part of the records into the sets by which they are found.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  cursor, about how many
-- Returns  the next cursor

-- include _waiting

local f = fields(ARGV[1])
local step = call('HSCAN', RUNS, f[1], 'COUNT', f[2])
for i = 1, #step[2], 2 do
  local key, status = step[2][i], match(step[2][i + 1], '^{"status":"([%l_]+)"')
  if status and is_key(key) then
    call('ZADD', BY_JOB, 0, key)
    call('ZADD', STATUS .. status, score(match(key, '%z(.*)$')), key)
    local member = status == 'waiting' and member_of(key, step[2][i + 1])
    if member then enter(member) end
  end
end
return step[1]
