-- Write how long the runs of some jobs took, unless somebody else has done so.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  for each job its id, what is known, and what is known now
-- Returns  how many were written

local f, n = fields(ARGV[1])
local written = 0
for i = 1, n, 3 do
  if (call('HGET', DURATIONS, f[i]) or '') == f[i + 1] and call('HEXISTS', JOBS, f[i]) == 1 then
    call('HSET', DURATIONS, f[i], f[i + 2])
    written = written + 1
  end
end
return written
