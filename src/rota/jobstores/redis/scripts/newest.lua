-- Return the newest records of some jobs, as far as a number of records goes that are looked at.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  how many of each job, how many are looked at, whether runs under way are wanted (empty: no), number of statuses
--          (0: any end), statuses; id of each job and the nominal time from which on they are not wanted (empty: all are)
-- Returns  id, nominal time and document of each, each ended by a NUL; how many jobs are done; the nominal time to go on from
--          with the next one (empty: from its newest)

-- include _records

local f, n = fields(ARGV[1])
local most, left, statuses = tonumber(f[1]), tonumber(f[2]), tonumber(f[4])
local wanted, found, done, at = {}, {}, 0, 5 + statuses
for i = 5, 4 + statuses do wanted[f[i]] = true end
local function show_run(key, document)
  found[#found + 1] = key .. '\0' .. shown(document) .. '\0'
end
if f[3] ~= '' then
  local known, keys = {}, {}
  for i = at, n, 2 do known[f[i]] = true end
  for _, run in ipairs(under_way_within(-math.huge, math.huge)) do
    if known[match(run.key, '^[^%z]*')] then keys[#keys + 1] = run.key end
  end
  local documents = get(CLAIMED, keys)
  for i, key in ipairs(keys) do show_run(key, documents[i]) end
end
while at <= n do
  local id, before, got = f[at], f[at + 1], 0
  local top = before == '' and '(' .. id .. '\1' or '(' .. id .. '\0' .. before
  while top do
    if left <= 0 then return {table.concat(found), done, before} end
    local share = math.min(statuses == 0 and most - got or math.max(most, 20), left)
    local keys = call('ZREVRANGEBYLEX', BY_JOB, top, '[' .. id .. '\0', 'LIMIT', 0, share)
    local documents = get(RUNS, keys)
    left = left - math.max(#keys, 1)
    for i, key in ipairs(keys) do
      local document = documents[i]
      if got < most and document and nominal_of(key) and (statuses == 0 or wanted[match(document, '^{"status":"([%l_]+)"')]) then
        show_run(key, document)
        got = got + 1
      end
    end
    top = #keys == share and got < most and '(' .. keys[#keys] or nil
    before = top and match(keys[#keys], '%z(.*)$') or ''
  end
  done = done + 1
  at = at + 2
end
return {table.concat(found), done, ''}
