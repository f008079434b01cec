-- Return the records of some jobs that were not looked at yet for how long the job's runs took, oldest first.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id to go on from (empty: the first), how many jobs are looked at, how many records; whether this job and no other is
--          looked at (empty: no)
-- Returns  the id to go on from (empty: these were all), whether that job has more records; for each job that has some its id, what
--          is known of how long its runs took, how many records follow; key and document of each

-- include _records

local f = fields(ARGV[1])
local from = f[4] ~= '' and '[' .. f[1] .. '\0' or f[1] == '' and '-' or '(' .. f[1] .. '\1'
local left, found, current = tonumber(f[3]), {'', ''}, {}
for _, run in ipairs(under_way_within(-math.huge, math.huge)) do add(current, match(run.key, '^[^%z]*'), run) end
for _ = 1, tonumber(f[2]) do
  local key = call('ZRANGEBYLEX', BY_JOB, from, f[4] ~= '' and '(' .. f[1] .. '\1' or '+', 'LIMIT', 0, 1)[1]
  if not key then found[1] = '' break end
  local id = match(key, '^[^%z]*')
  found[1] = id
  from = '(' .. id .. '\1'
  if call('HEXISTS', STATES, id) == 1 then
    local known = call('HGET', DURATIONS, id) or ''
    local mark = tonumber(match(known, '^%[(%d+),') or '')
    local first = mark and '(' .. id .. '\0' .. string.format('%019.0f', mark) or '[' .. id .. '\0'
    local keys = call('ZRANGEBYLEX', BY_JOB, first, '(' .. id .. '\1', 'LIMIT', 0, left)
    local documents, runs = get(RUNS, keys), {}
    for i, name in ipairs(keys) do
      if documents[i] and nominal_of(name) then runs[#runs + 1] = {key = name, document = documents[i]} end
    end
    if #runs > 0 then
      for _, run in ipairs(current[id] or {}) do
        if less(run.key, keys[#keys]) then runs[#runs + 1] = {key = run.key, document = '{"status":"claimed"}'} end
      end
      table.sort(runs, function(a, b) return less(a.key, b.key) end)
      for _, text in ipairs({id, known, tostring(#runs)}) do found[#found + 1] = text end
      for _, run in ipairs(runs) do
        found[#found + 1] = run.key
        found[#found + 1] = run.document
      end
    end
    left = left - #keys
    if left <= 0 then
      found[2] = '1'
      break
    end
  end
end
return found
