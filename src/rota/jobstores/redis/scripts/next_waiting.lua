-- Return when somebody has to look at waiting runs next: when the earliest may start that the state of its job lets start, and the
-- retries before that whose jobs are paused or in quarantine, as these may have a deadline.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  where to begin (a number), how many entries to look at, how many runs of each
-- Returns  the time (empty: there is none among these); whether these were all ("1" or empty); id, nominal time, document, class and time
--          of each retry; id, state and spec of their jobs; each ended by a NUL

-- include _waiting
-- include _bytes

local f = fields(ARGV[1])
local from, most, share = tonumber(f[1]), tonumber(f[2]), f[3]
local entries = call('ZRANGE', WAITING_JOBS, from, from + most - 1, 'WITHSCORES')
local first, runs, jobs = '', {}, {}
for i = 1, #entries, 2 do
  local class, id = sub(entries[i], 1, 1), sub(entries[i], 2)
  local state = call('HGET', STATES, id)
  local _, _, rest = parse(state or '')
  local is_quarantined = starts(rest or '', '"quarantined"')
  if not is_quarantined and not (starts(rest or '', '"paused"') and class ~= '1') then
    first = entries[i + 1]
    break
  end
  if class == '0' then
    local from_member, to_member = '[' .. id .. '\0000\0', '(' .. id .. '\0000\1'
    for _, member in ipairs(call('ZRANGEBYLEX', WAITING, from_member, to_member, 'LIMIT', 0, share)) do
      local key, _, time = key_of(member)
      local document = call('HGET', RUNS, key)
      if document and is_key(key) then runs[#runs + 1] = table.concat({key, shown(document), class, time, ''}, '\0') end
    end
    jobs[#jobs + 1] = table.concat({id, shown(state or ''), shown(call('HGET', JOBS, id) or ''), ''}, '\0')
  end
end
return {first, #entries < 2 * most and '1' or '', table.concat(runs), table.concat(jobs)}
