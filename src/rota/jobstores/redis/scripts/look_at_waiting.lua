-- Look at a part of the runs that wait: those that nobody would find are found again, and what stands for none is deleted.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  three cursors (of the runs by their status, of what stands for them, of their jobs), about how many
-- Returns  the next cursors

-- include _waiting

local f = fields(ARGV[1])
local LATEST = 2.6e17  -- about the year 9999

-- Return whether a run waits, and the member that has to stand for it, nothing if its document does not say so.
local function wanted(key)
  local document = is_key(key) and call('HGET', RUNS, key)
  local status = document and match(document, '^{"status":"([%l_]+)"')
  if not document or (status and status ~= 'waiting') then return false, nil end
  local member = member_of(key, document)
  if not member then return true, nil end
  local _, _, time = key_of(member)
  return true, tonumber(time) <= LATEST and member or nil
end

-- Whether anything stands for a run whose document is damaged.
local function is_found(key)
  for _, class in ipairs({'0', '1', '2'}) do
    local from = match(key, '^[^%z]*') .. '\0' .. class
    for _, member in ipairs(call('ZRANGEBYLEX', WAITING, '[' .. from .. '\0', '(' .. from .. '\1', 'LIMIT', 0, PART)) do
      if key_of(member) == key then return true end
    end
  end
  return false
end

local by_status = call('ZSCAN', STATUS .. 'waiting', f[1], 'COUNT', f[4])
for i = 1, #by_status[2], 2 do
  local key = by_status[2][i]
  local waits, member = wanted(key)
  if waits and not member and not is_found(key) then  -- found at once
    local id, nominal = match(key, '^([^%z]*)%z(.*)$')
    member = table.concat({id, '2', string.rep('0', 19), nominal}, '\0')
  end
  if member and not call('ZSCORE', WAITING, member) then enter(member) end
end
local members = call('ZSCAN', WAITING, f[2], 'COUNT', f[4])
for i = 1, #members[2], 2 do
  local waits, member = wanted((key_of(members[2][i])))
  if not waits or (member and member ~= members[2][i]) then leave(members[2][i]) end
end
-- A job is found by the earliest of its runs.
local jobs, seen = call('ZSCAN', WAITING_JOBS, f[3], 'COUNT', f[4]), {}
for i = 1, #jobs[2], 2 do seen[jobs[2][i]] = true end
for i = 1, #members[2], 2 do
  local id, class = match(members[2][i], '^([^%z]*)%z(.)')
  if id then seen[class .. id] = true end
end
for name in pairs(seen) do find_by_first(sub(name, 2), sub(name, 1, 1)) end
return {by_status[1], members[1], jobs[1]}
