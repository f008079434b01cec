-- Look at a part of all jobs: counts, due times and lists that contradict their states are put right.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  cursor, about how many; the due time of jobs that no time starts
-- Returns  the next cursor; id, spec and state of each, each ended by a NUL: of the jobs that nobody would find because of
--          what is stored of them; the same of jobs that no time starts

local f = fields(ARGV[1])
local LATEST = 2.6e17  -- about the year 9999
local step = call('HSCAN', STATES, f[1], 'COUNT', f[2])
local all, ids, hidden, untimed = step[2], {}, {}, {}
for i = 1, #all, 2 do ids[#ids + 1] = all[i] end
local specs = get(JOBS, ids)
local words = {active = true, paused = true, quarantined = true, ended = true}
for i, id in ipairs(ids) do
  local text = all[2 * i]
  local version, running, rest = parse(text)
  local state = match(rest, '^"(%a+)",')
  local nominal = match(rest, '^"%a+",(%-?%d+),')
  local due = match(rest, '^"%a+",%-?%d+,(%-?%d+),') or match(rest, '^"%a+",%-?%d+,"(held)",')
  local executor = executor_of(text)
  local timed = nominal and due and (due == 'held' or tonumber(due) < LATEST)
  local waits = state == 'active'
  if version == '-1' or not words[state] or (waits and not timed) or (waits and executor == '') then
    if not (state == 'quarantined' and version ~= '-1') then show(hidden, id, specs[i], text) end
  else
    if waits and due == f[3] then show(untimed, id, specs[i], text) end
    local count = under_way(id)
    local kept = state == 'ended' and running <= 0 and specs[i]
    if running ~= count or (count == 0 and (due == 'held' or state == 'ended' and not kept and not has_waiting(id))) then
      local changed, freed = counting(id, version, count, rest)
      if changed then call('HSET', STATES, id, changed) else forget(id) end
      if freed then due = freed end
    end
    if state ~= 'ended' then
      call('ZADD', IDS, 0, id)
      call('SADD', EXECUTORS, executor)
      call(state == 'quarantined' and 'SADD' or 'SREM', QUARANTINED, id)
      local score = call('ZSCORE', TIMES .. executor, id)
      if not waits or due == 'held' then
        if score then call('ZREM', TIMES .. executor, id) end
      elseif not score or tonumber(score) ~= tonumber(due) then
        place(id, executor, due)
      end
    end
  end
end
return {step[1], table.concat(hidden), table.concat(untimed)}
