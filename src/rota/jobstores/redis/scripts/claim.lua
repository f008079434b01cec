-- Claim runs: carry out decisions about jobs, each in whole or not at all.
--
-- A decision whose job has another version (R1) or no room (R2), or that supersedes what does not wait any more (R4), is left out.
-- If a nominal time has a record already (R4), nothing is done. The claim moves the job and writes its runs and records in the same step (R3).
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  node, now, token, how often the node's lease was renewed and until when it lasts, as the node knows;
--          number of ranges of times, and for each range, in which no other record may be: its place among the records, id,
--          first and last nominal time;
--          number of first times, and for each of them, up to which no record that began before may reach: its place, id, time;
--          for each decision: id, version, number of runs, limit of runs under way (negative: as many have to be), rest,
--          executor, due time, number of runs and records, number of retries that it supersedes; for each run and record nominal
--          time, status, document; for each such retry nominal time, how the document of the waiting run begins, document of its
--          end
-- ARGV[3]  what the ends of superseded retries leave at other jobs; see _follow.lua
-- Returns  "1" or "0" for each decision; or
--          "?" for a node without a lease; "-" if its lease is over; "!" and the identity of the store if its lease is not
--          as it was;
--          "=" and the places of the records whose nominal time has a record already;
--          "+" and places: as in _follow.lua, nothing is done

-- include _follow

-- How many records before an instant are searched for a range that reaches up to it; as in rota.core.recorded.
local BEFORE = 20

local f, n = fields(ARGV[1])
local node, now, token = f[1], tonumber(f[2]), f[3]
-- The very same request may come twice.
local answered = call('HGET', ANSWERS, node)
if answered and starts(answered, token) then return sub(answered, #token + 1) end
local lease, known = call('ZSCORE', NODES, node), tonumber(f[4])
local renewals = lease and (tonumber(call('HGET', META, 'renewals ' .. node) or '0') or known)
if known > 0 and (lease and renewals < known or not lease and now <= tonumber(f[5])) then
  return '!' .. (call('HGET', META, 'identity') or '')
end
if not lease then return '?' end
if tonumber(lease) < now then return '-' end
-- R4: no record may be inside the range of another one.
local at, ids, i, taken, current = {}, {}, 7, {}, {}
for _, key in ipairs(f[6] == '0' and {} or call('HKEYS', CLAIMED)) do add(current, match(key, '^[^%z]*'), key) end
for _ = 1, tonumber(f[6]) do
  local from, to = f[i + 1] .. '\0' .. f[i + 2], f[i + 1] .. '\0' .. f[i + 3]
  local met = call('ZRANGEBYLEX', BY_JOB, '(' .. from, '[' .. to, 'LIMIT', 0, 1)[1]
  for _, key in ipairs(current[f[i + 1]] or {}) do
    if key > from and key <= to then met = key end
  end
  if met then taken[#taken + 1] = f[i] end
  i = i + 4
end
i = i + 1
for _ = 1, tonumber(f[i - 1]) do
  local beginning, first = f[i + 1] .. '\0', tonumber(f[i + 2])
  local before = call('ZREVRANGEBYLEX', BY_JOB, '(' .. beginning .. f[i + 2], '[' .. beginning, 'LIMIT', 0, BEFORE)
  for _, document in ipairs(get(RUNS, before)) do
    local last = document and match(document, '"last":(%-?%d+)')
    if last and tonumber(last) >= first then taken[#taken + 1] = f[i]; break end
  end
  i = i + 3
end
if #taken > 0 then return '=' .. table.concat(taken, ',') end
-- R1, R2: the decisions about jobs that are as they were, and have room.
while i <= n do
  at[#at + 1] = i
  ids[#ids + 1] = f[i]
  i = i + 9 + 3 * (tonumber(f[i + 7]) + tonumber(f[i + 8]))
end
local states, won = get(STATES, ids), {}
local keys, places, claimed = {}, {}, {}
local ended, documents, of_status = {}, {}, {}
local changed, gone, broken, due, done = {}, {}, {}, {}, {}
local specs = {}
local superseded = {}
local records = 0

-- Return the retries that a decision supersedes, each with its key, its member of WAITING and its end; nothing if one waits no more.
local function superseded_by(id, first, count)
  local found = {}
  for at = first, first + 3 * count - 3, 3 do
    local key = id .. '\0' .. f[at]
    local document = call('HGET', RUNS, key)
    local member = document and starts(document, f[at + 1]) and member_of(key, document)
    if not member then return nil end
    found[#found + 1] = {key, member, f[at + 2]}
  end
  return found
end

-- Return what a job is without the text of its pause, which is the last of its texts and begins with a brace, behind the number of
-- its revision; nothing if it has none.
local function without_pause(spec)
  local others = spec and match(spec, '^(.*, "%d+", "){.*"%]$')
  return others and others .. '"]'
end

for d, i in ipairs(at) do
  local id, expected, runs, limit, rest, executor, time = unpack(f, i, i + 6)
  local state, count, ending = states[d], tonumber(f[i + 7]), tonumber(f[i + 8])
  won[d] = '0'
  if state then
    local version, running, before = parse(state)
    runs = tonumber(runs)
    running = running - ending
    local retries = ending > 0 and superseded_by(id, i + 9 + 3 * count, ending)
    limit = tonumber(limit)
    local has_room = runs == 0 or running < limit
    if limit < 0 then has_room = running >= -limit end
    if version == expected and has_room and retries ~= nil then
      for _, retry in ipairs(retries or {}) do superseded[#superseded + 1] = retry end
      won[d] = '1'
      keep_state(id, state)
      -- R3: the job moves; R6: a job whose schedule is over stays as long as runs are under way.
      running = running + runs
      if running <= 0 and is_ended(rest) and not has_waiting(id) then
        gone[#gone + 1] = id
      else
        changed[#changed + 1] = id
        changed[#changed + 1] = make(raised(version), running, rest)
        if starts(before, '"paused"') and (starts(rest, '"active"') or is_ended(rest)) then
          local spec = without_pause(call('HGET', JOBS, id))
          if spec then specs[#specs + 1] = id; specs[#specs + 1] = spec end
        end
      end
      if time == '' then add(done, executor, id) else add(due, executor, time); add(due, executor, id) end
      if starts(rest, '"quarantined"') then
        broken[#broken + 1] = id
        -- What it is damaged in may be the name of its executor.
        for _, name in ipairs(call('SMEMBERS', EXECUTORS)) do add(done, name, id) end
      end
      for r = 0, count - 1 do
        local first = i + 9 + 3 * r
        local key, status = id .. '\0' .. f[first], f[first + 1]
        keys[#keys + 1] = key
        places[#places + 1] = records + r
        if status == 'claimed' then
          claimed[#claimed + 1] = key
          claimed[#claimed + 1] = f[first + 2]
        else
          ended[#ended + 1] = key
          documents[#documents + 1] = key
          documents[#documents + 1] = f[first + 2]
          add(of_status, status, score(f[first]))
          add(of_status, status, key)
        end
      end
    end
  end
  records = records + count
end
-- R4: no nominal time may have a record already.
local over, under_way = get(RUNS, keys), get(CLAIMED, keys)
for r = 1, #keys do
  if over[r] or under_way[r] then taken[#taken + 1] = places[r] end
end
if #taken > 0 then return '=' .. table.concat(taken, ',') end
local followed, given_up = followers(), {}
for _, retry in ipairs(superseded) do given_up[retry[1]] = true end
if #followed > 0 then
  for _, key in ipairs(ended) do given_up[key] = true end
end
local function is_written(key) return given_up[key] end
local places_met = met(followed, is_written)
if places_met then return places_met end
-- A command is refused if its key is of another kind. The first ones may be done again; what the decisions depend on comes last.
write(ended, documents, of_status)
for _, retry in ipairs(superseded) do end_waiting(retry[1], retry[2], 'failed', retry[3]) end
follow(followed, is_written)
each('SADD', QUARANTINED, broken)
for executor, values in pairs(due) do each('ZADD', TIMES .. executor, values) end
for executor, values in pairs(done) do each('ZREM', TIMES .. executor, values) end
each('HDEL', JOBS, gone)
each('HSET', JOBS, specs)
each('HSET', CLAIMED, claimed)
each('HSET', STATES, changed)
each('HDEL', STATES, gone)
local answer = table.concat(won)
call('HSET', ANSWERS, node, token .. answer)
return answer
