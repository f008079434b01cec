-- Make runs wait that somebody asks for: new ones, and such as have ended.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  now, how long a key holds, the version that the job must have (empty: any); for each run id, nominal time, the key that
--          it is asked for with (empty: none), attempt, the number of its cut (empty: none), the rest of its document
-- ARGV[2]  the origin that wake-ups carry
-- ARGV[3]  the records in place of which runs are opened, if there are any: for each id, nominal time; status, attempt, last time and
--          count as they were looked at; number of the records of what is left of it, nominal time and document of each
-- Returns  nominal time and document of each run that waits or was found by its key; both empty of one that is refused

-- include _waiting

local f, n = fields(ARGV[1])
local now, holds, version, found = tonumber(f[1]), tonumber(f[2]), f[3], {}

-- Return status, attempt, last time and count of a record; the latter two only if it stands for several times.
local function seen(record)
  local status, attempt = match(record, '^{"status":"([%l_]+)","attempt":(%d+)')
  local last, count = match(record, '^{"status":"[%l_]+","attempt":%d+,"owner":"[^"]*","due":%-?%d+,"executor":"[^"]*"'
    .. ',"last":(%-?%d+),"count":(%d+)')
  return status, attempt, last, count
end

-- Return the cuts whose records are as they were looked at (R4), by their numbers.
local function cuts_of(text)
  local c, m = fields(text)
  local cuts, i, number = {}, 1, 1
  while i <= m do
    local key, left = c[i] .. '\0' .. c[i + 1], {}
    for j = i + 7, i + 5 + 2 * tonumber(c[i + 6]), 2 do
      left[#left + 1] = {c[i] .. '\0' .. c[j], c[j], c[j + 1]}
    end
    local record = call('HEXISTS', CLAIMED, key) == 0 and call('HGET', RUNS, key)
    if record then
      local status, attempt, last, count = seen(record)
      if status == c[i + 2] and status ~= 'waiting' and attempt == c[i + 3]
        and ((count or '1') == '1' or last == c[i + 4]) and (count or '1') == c[i + 5] then
        cuts[tostring(number)] = {key, status, left}
      end
    end
    i = i + 7 + 2 * tonumber(c[i + 6])
    number = number + 1
  end
  return cuts
end

-- Write what is left of a record, once.
local function carry_out(cut)
  if cut.done then return end
  cut.done = true
  call('ZREM', STATUS .. cut[2], cut[1])
  for _, piece in ipairs(cut[3]) do write({piece[1]}, {piece[1], piece[3]}, {[cut[2]] = {score(piece[2]), piece[1]}}) end
end

local split = {}

local cuts = ARGV[3] and cuts_of(ARGV[3]) or {}

-- Return the key of the record that a run was given before, nothing if there is none.
local function known_as(id, name)
  local nominal, at = match(name ~= '' and call('HGET', ASKED, id .. '\0' .. name) or '', '^(%-?%d+) (%-?%d+)$')
  if not nominal or now - tonumber(at) >= holds then return nil end
  return id .. '\0' .. nominal
end

for i = 4, n, 6 do
  local id, nominal, name, attempt, number, rest = unpack(f, i, i + 5)
  local key = id .. '\0' .. nominal
  local known = known_as(id, name)
  local document = known and (call('HGET', CLAIMED, known) or call('HGET', RUNS, known))
  if document and find(document, ',"reason":"job removed"', 1, true) then document = nil end  -- another job has its id now
  if document then
    found[#found + 1] = match(known, '%z(.*)$')
    found[#found + 1] = shown(document)
  else
    local cut = cuts[number]
    local record = number == '' and call('HGET', RUNS, key)
    local status = record and match(record, '^{"status":"([%l_]+)"')
    local is_open = call('HEXISTS', CLAIMED, key) == 1
      or (record and (not status or status == 'waiting' or attempt == '0')) or (number ~= '' and not cut)  -- R4
    local state, spec = call('HGET', STATES, id), call('HGET', JOBS, id)
    if is_open or not state or not spec or (version ~= '' and parse(state) ~= version) then  -- R1
      found[#found + 1] = ''
      found[#found + 1] = ''
    else
      if record then
        attempt = match(record, '^{"status":"[%l_]+","attempt":(%d+)') or attempt  -- it goes on
        call('ZREM', STATUS .. status, key)
      elseif cut then
        carry_out(cut)
        split[id] = true
      end
      document = '{"status":"waiting","attempt":' .. attempt .. rest
      write_waiting(key, document)
      if name ~= '' then call('HSET', ASKED, id .. '\0' .. name, nominal .. ' ' .. f[1]) end
      found[#found + 1] = nominal
      found[#found + 1] = document
    end
  end
end
-- Who has read the records before may have missed a piece (R1).
for id in pairs(split) do
  local before, running, rest = parse(call('HGET', STATES, id))
  if before ~= '-1' then call('HSET', STATES, id, make(raised(before), running, rest)) end
end
return found
