-- Make runs wait that somebody asks for: new ones, and such as have ended.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  now, how long a key holds; for each run id, nominal time, the key that it is asked for with (empty: none), attempt,
--          the rest of its document
-- ARGV[2]  the origin that wake-ups carry
-- Returns  nominal time and document of each run that waits or was found by its key; both empty of one that is refused

-- include _waiting

local f, n = fields(ARGV[1])
local now, holds, found = tonumber(f[1]), tonumber(f[2]), {}

-- Return the key of the record that a run was given before, nothing if there is none.
local function known_as(id, name)
  local nominal, at = match(name ~= '' and call('HGET', ASKED, id .. '\0' .. name) or '', '^(%-?%d+) (%-?%d+)$')
  if not nominal or now - tonumber(at) >= holds then return nil end
  return id .. '\0' .. nominal
end

for i = 3, n, 5 do
  local id, nominal, name, attempt, rest = unpack(f, i, i + 4)
  local key = id .. '\0' .. nominal
  local known = known_as(id, name)
  local document = known and (call('HGET', CLAIMED, known) or call('HGET', RUNS, known))
  if document then
    found[#found + 1] = match(known, '%z(.*)$')
    found[#found + 1] = shown(document)
  else
    local record = call('HGET', RUNS, key)
    local status = record and match(record, '^{"status":"([%l_]+)"')
    local is_open = call('HEXISTS', CLAIMED, key) == 1 or (record and (not status or status == 'waiting'))  -- R4
    local state, spec = call('HGET', STATES, id), call('HGET', JOBS, id)
    if is_open or not state or not spec then
      found[#found + 1] = ''
      found[#found + 1] = ''
    else
      if record then
        -- The attempt goes on, and a record of several times stands for them.
        attempt = match(record, '^{"status":"[%l_]+","attempt":(%d+)') or attempt
        local last, count = match(record, '^{"status":"[%l_]+","attempt":%d+,"owner":"[^"]*","due":%-?%d+,"executor":"[^"]*"'
          .. ',"last":(%-?%d+),"count":(%d+)')
        if last then rest = sub(rest, 1, -2) .. ',"last":' .. last .. ',"count":' .. count .. '}' end
        call('ZREM', STATUS .. status, key)
      end
      document = '{"status":"waiting","attempt":' .. attempt .. rest
      write_waiting(key, document)
      if name ~= '' then call('HSET', ASKED, id .. '\0' .. name, nominal .. ' ' .. f[1]) end
      found[#found + 1] = nominal
      found[#found + 1] = document
    end
  end
end
return found
