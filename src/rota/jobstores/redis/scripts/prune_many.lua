-- Delete the oldest records of a job beyond a number; runs that wait are none of them.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id, how many are kept, how many are deleted at most
-- Returns  how many are left beyond that number

-- include _delete

local f = fields(ARGV[1])
local from, to = '[' .. f[1] .. '\0', '(' .. f[1] .. '\1'
local waiting = call('ZLEXCOUNT', WAITING, from, to)
local beyond = call('ZLEXCOUNT', BY_JOB, from, to) - waiting - tonumber(f[2])
local excess = math.min(beyond, tonumber(f[3]))
if excess <= 0 then return 0 end
local keys = call('ZRANGEBYLEX', BY_JOB, from, to, 'LIMIT', 0, excess + math.min(waiting, PART))
local documents, of_status, deleted = get(RUNS, keys), {}, 0
for i, key in ipairs(keys) do
  local status = documents[i] and match(documents[i], '^{"status":"([%l_]+)"') or ''
  if status ~= 'waiting' and deleted < excess then
    add(of_status, status, key)
    deleted = deleted + 1
  end
end
for status, old in pairs(of_status) do delete(status, old) end
return deleted == 0 and 0 or beyond - deleted
