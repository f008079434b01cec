-- Take jobs out of the sets of due times of executors that are not theirs.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id and executor of each
-- Returns  a number that means nothing

local f, n = fields(ARGV[1])
for i = 1, n, 2 do
  for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do
    if executor ~= f[i + 1] then call('ZREM', TIMES .. executor, f[i]) end
  end
end
return n
