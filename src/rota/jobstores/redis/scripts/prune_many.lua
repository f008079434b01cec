-- Delete the oldest records of a job beyond a number.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id, how many are kept, how many are deleted at most
-- Returns  how many are left beyond that number

-- include _delete

local f = fields(ARGV[1])
local from, to = '[' .. f[1] .. '\0', '(' .. f[1] .. '\1'
local beyond = call('ZLEXCOUNT', BY_JOB, from, to) - tonumber(f[2])
local excess = math.min(beyond, tonumber(f[3]))
if excess <= 0 then return 0 end
local keys = call('ZRANGEBYLEX', BY_JOB, from, to, 'LIMIT', 0, excess)
local documents, of_status = get(RUNS, keys), {}
for i, key in ipairs(keys) do
  add(of_status, documents[i] and match(documents[i], '^{"status":"([%l_]+)"') or '', key)
end
for status, old in pairs(of_status) do delete(status, old) end
return beyond - excess
