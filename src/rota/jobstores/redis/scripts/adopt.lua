-- Have jobs found by the ends of those that start them, where that is not noted any more.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id of the one that starts it, and of the job, in turn
-- Returns  how many were noted

local f, n = fields(ARGV[1])
local noted = 0
for i = 1, n, 2 do
  local member = '\1' .. f[i] .. '\0' .. f[i + 1]
  if call('HEXISTS', JOBS, f[i + 1]) == 1 and not call('ZSCORE', TAGS, member) then
    call('ZADD', TAGS, 0, member)
    noted = noted + 1
  end
end
return noted
