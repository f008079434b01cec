-- Count records within some bounds: all of some jobs, or those with some statuses.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  first nominal time, first one beyond the last (each empty: none), number of statuses, statuses, ids (none: of all jobs,
--          with these statuses)
-- Returns  how many

-- include _records

local f, n = fields(ARGV[1])
local lowest, highest, statuses = bound(f[1], -math.huge), bound(f[2], math.huge), tonumber(f[3])
local ids, known, wanted, number = {}, {}, {}, 0
for i = 4, 3 + statuses do wanted[f[i]] = true end
for i = 4 + statuses, n do ids[#ids + 1] = f[i]; known[f[i]] = true end
if wanted['claimed'] then
  for _, run in ipairs(under_way_within(lowest, highest)) do
    if #ids == 0 or known[match(run.key, '^[^%z]*')] then number = number + 1 end
  end
end
for _, id in ipairs(ids) do
  local to = f[2] == '' and '(' .. id .. '\1' or '(' .. id .. '\0' .. f[2]
  number = number + call('ZLEXCOUNT', BY_JOB, '[' .. id .. '\0' .. f[1], to)
end
if #ids == 0 then
  local from = f[1] == '' and '-inf' or string.format('%.17g', lowest)
  local to = f[2] == '' and '+inf' or '(' .. string.format('%.17g', highest)
  for _, status in ipairs({'waiting', unpack(STATUSES)}) do
    if wanted[status] then number = number + call('ZCOUNT', STATUS .. status, from, to) end
  end
end
return number
