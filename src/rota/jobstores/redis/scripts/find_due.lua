-- Look at the next jobs in the order of their due times, those of one time in the order of their ids.
--
-- A job that waits for the end of its runs has no place among those that will be due: it is found by these runs, and counts as
-- due at its nominal time.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  due time and id after which to go on (both empty: the first); first due time, first one beyond the last, how many
--          are looked at, executors (none: all)
-- Returns  how many were looked at; due time and id of the last one (both empty: these were all); id and due time of each, each
--          ended by a NUL; id, spec and state of each likewise

-- include _bytes

local f, n = fields(ARGV[1])
local after, after_id, lowest, highest, count = tonumber(f[1]), f[2], tonumber(f[3]), tonumber(f[4]), tonumber(f[5])
if after and after < lowest then after = nil end
local executors = {unpack(f, 6, n)}
if n < 6 then executors = call('SMEMBERS', EXECUTORS) end
local function text_of(number) return string.format('%.17g', number) end

local function before(a, b)
  if a.due ~= b.due then return a.due < b.due end
  return less(a.id, b.id)
end
local here = after and {due = after, id = after_id}

local function of_executor(executor)
  local key, found = TIMES .. executor, {}
  local from = call('ZCOUNT', key, '-inf', '(' .. text_of(after or lowest))
  if after then from = rank_after(key, from, from + call('ZCOUNT', key, text_of(after), text_of(after)), after_id) end
  local values = call('ZRANGE', key, from, from + count, 'WITHSCORES')
  for i = 1, #values, 2 do
    local due = tonumber(values[i + 1])
    if due and due < highest then found[#found + 1] = {id = values[i], due = due} end
  end
  return found
end

local function waiting()
  local ids, seen, found = {}, {}, {}
  for _, key in ipairs(call('HKEYS', CLAIMED)) do
    local id = match(key, '^[^%z]*')
    if not seen[id] then seen[id] = true; ids[#ids + 1] = id end
  end
  for i, state in ipairs(get(STATES, ids)) do
    local _, _, rest = parse(state or '')
    local nominal = tonumber(match(rest, '^"active",(%-?%d+),"held"') or '')
    local job = {id = ids[i], due = nominal}
    if nominal and nominal >= lowest and nominal < highest and (not here or before(here, job)) then found[#found + 1] = job end
  end
  table.sort(found, before)
  return found
end

local lists = {waiting()}
for _, executor in ipairs(executors) do lists[#lists + 1] = of_executor(executor) end
local jobs, more = merged(lists, before, count)
local ids, times, found = {}, {}, {}
for i, job in ipairs(jobs) do
  ids[i] = job.id
  times[i] = job.id .. '\0' .. text_of(job.due) .. '\0'
end
local states, specs = get(STATES, ids), get(JOBS, ids)
for i, id in ipairs(ids) do
  if states[i] and is_job(specs[i], states[i]) then show(found, id, specs[i], states[i]) end
end
local last = more and jobs[#jobs]
return {#jobs, last and text_of(last.due) or '', last and last.id or '', table.concat(times), table.concat(found)}
