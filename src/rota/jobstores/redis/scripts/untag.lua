-- Take tags that jobs do not have out of the index, unless the job has been changed since that was found.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  tag, id and state of the job of each (empty: there was none)
-- Returns  how many were taken out

local f, n = fields(ARGV[1])
local taken = 0
for i = 1, n, 3 do
  if shown(call('HGET', STATES, f[i + 1]) or '') == f[i + 2] then
    taken = taken + call('ZREM', TAGS, f[i] .. '\0' .. f[i + 1])
  end
end
return taken
