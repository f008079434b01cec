-- Return jobs that have more records than a number.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id to go on from (empty: the first), number, how many jobs are looked at
-- Returns  id to go on from (empty: these were all); ids

local f = fields(ARGV[1])
local found = {''}
local from = f[1] == '' and '-' or '(' .. f[1] .. '\1'
for _ = 1, tonumber(f[3]) do
  local key = call('ZRANGEBYLEX', BY_JOB, from, '+', 'LIMIT', 0, 1)[1]
  if not key then found[1] = '' break end
  local id = match(key, '^[^%z]*')
  if call('ZLEXCOUNT', BY_JOB, '[' .. id .. '\0', '(' .. id .. '\1') > tonumber(f[2]) then found[#found + 1] = id end
  found[1] = id
  from = '(' .. id .. '\1'
end
return found
