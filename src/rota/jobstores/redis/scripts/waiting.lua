-- Return waiting runs whose time has come, some of each job, the jobs with the earliest ones first, and their jobs.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  node, now, where to go on (time and job; both empty: at the first), how many jobs, how many runs of each, and how many of
--          each that keep their places: those of a group are taken together
-- Returns  where to go on (both empty: these were all); id, nominal time, document, class and time of each run; id, state and spec
--          of each job; each ended by a NUL. Nothing if the lease of the node is over

-- include _waiting
-- include _bytes

local f = fields(ARGV[1])
local node, now, place, after, most = f[1], f[2], f[3], f[4], tonumber(f[5])
local lease = call('ZSCORE', NODES, node)
if not lease or tonumber(lease) < tonumber(now) then return {'', '', '', ''} end
local from = 0
if place ~= '' then
  from = call('ZCOUNT', WAITING_JOBS, '-inf', '(' .. place)
  from = rank_after(WAITING_JOBS, from, from + call('ZCOUNT', WAITING_JOBS, place, place), after)
end
local entries = call('ZRANGE', WAITING_JOBS, from, from + most - 1, 'WITHSCORES')
local runs, ids, seen, jobs, last, last_time = {}, {}, {}, {}, '', ''
for i = 1, #entries, 2 do
  if tonumber(entries[i + 1]) > tonumber(now) then
    last = ''
    break
  end
  last, last_time = entries[i], entries[i + 1]
  local class, id = sub(last, 1, 1), sub(last, 2)
  local beginning = id .. '\0' .. class .. '\0'
  local share = class == '0' and f[7] or f[6]
  local to = '(' .. beginning .. string.rep('0', 19 - #now) .. now .. '\1'
  for _, member in ipairs(call('ZRANGEBYLEX', WAITING, '[' .. beginning, to, 'LIMIT', 0, share)) do
    local key, _, time = key_of(member)
    local document = call('HGET', RUNS, key)
    local status = document and match(document, '^{"status":"([%l_]+)"')
    if not document or (status and status ~= 'waiting') or not is_key(key) then
      leave(member)  -- it waits no more
    else
      runs[#runs + 1] = table.concat({key, shown(document), class, time, ''}, '\0')
      if not seen[id] then seen[id] = true; ids[#ids + 1] = id end
    end
  end
end
if #entries < 2 * most then last = '' end
local states, specs = get(STATES, ids), get(JOBS, ids)
for i, id in ipairs(ids) do
  jobs[i] = table.concat({id, shown(states[i] or ''), shown(specs[i] or ''), ''}, '\0')
end
return {last ~= '' and last_time or '', last, table.concat(runs), table.concat(jobs)}
