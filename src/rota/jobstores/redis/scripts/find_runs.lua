-- Look at the next records, newest first, those of one time in the order of their jobs.
--
-- Those of some jobs are found job by job; all others by their statuses, of which each has a set that is sorted by time.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  how many are looked at; first nominal time and first one beyond the last; nominal time and job of the one after which
--          to go on (each empty: none); number of ids (empty: of all jobs), ids; number of statuses, statuses; for each group of
--          words, of which a document has to have one, their number and the words
-- Returns  how many were looked at; the key of the last one (empty: these were all); id, nominal time and document of each
--          that fits, each ended by a NUL

-- include _records

local f, n = fields(ARGV[1])
local count, lowest, highest = tonumber(f[1]), bound(f[2], -math.huge), bound(f[3], math.huge)
local after, after_id = f[4] ~= '' and f[4], f[5]
local of_jobs, ids, wanted, groups, at = f[6] ~= '', {}, {}, {}, 7
for i = 1, tonumber(f[6]) or 0 do ids[i] = f[at]; at = at + 1 end
local statuses = tonumber(f[at])
for i = at + 1, at + statuses do wanted[f[i]] = true end
at = at + statuses + 1
while at <= n do
  local words = {}
  for i = 1, tonumber(f[at]) do words[i] = f[at + i] end
  groups[#groups + 1] = words
  at = at + #words + 1
end
-- How many one list may have to give.
local STEP = count + 1
local after_key = after and after_id .. '\0' .. after
local after_score = after and tonumber(score(after))

-- Of one status: by time, and those of one time by their keys.
local function is_newer(a, b)
  if a.score ~= b.score then return a.score > b.score end
  return less(a.key, b.key)
end

-- Of some jobs: exactly by time, also where numbers are not exact.
local function is_later(a, b)
  if a.nominal ~= b.nominal then
    local negative = starts(a.nominal, '-')
    if negative ~= starts(b.nominal, '-') then return not negative end
    return a.nominal > b.nominal
  end
  return less(a.key, b.key)
end
local before = of_jobs and is_later or is_newer

-- Add keys (each with its score) to a list; those in the wrong place, where somebody else has put them, are left out.
local function keep_all(list, values, first, last)
  for i = first, last, 2 do
    local key, number = values[i], tonumber(values[i + 1])
    local nominal = sub(key, -19)
    if not (sub(key, -20, -20) == '\0' and tonumber(nominal) == number and find(nominal, '^%d+$')) then  -- rare
      nominal = nominal_of(key)
      if nominal and number ~= tonumber(score(nominal)) then nominal = nil end
    end
    if nominal then list[#list + 1] = {key = key, score = number, from = RUNS} end
  end
end

-- Return a list of the next keys of a status, which is filled step by step.
local function of_status(status, share)
  local key, list, floor = STATUS .. status, {}, 0
  -- The next ones have the ranks from "at" on and below "past"; those with ranks below "top" follow.
  local at, past, top = 0, 0, nil
  if lowest > -math.huge then floor = call('ZCOUNT', key, '-inf', '(' .. string.format('%.17g', lowest)) end
  if after and after_score < highest then
    local text = string.format('%.17g', after_score)
    top = call('ZCOUNT', key, '-inf', '(' .. text)
    past = top + call('ZCOUNT', key, text, text)
    at = rank_after(key, top, past, after_key)
    if top < floor then at = past end
  elseif highest < math.huge then
    top = call('ZCOUNT', key, '-inf', '(' .. string.format('%.17g', highest))
  else
    top = call('ZCARD', key)
  end
  function list.more(self)
    for i = #self, 1, -1 do self[i] = nil end
    while #self == 0 and (at < past or top > floor) do
      if at < past then
        local to = math.min(past, at + share)
        keep_all(self, call('ZRANGE', key, at, to - 1, 'WITHSCORES'), 1, 2 * (to - at))
        at = to
      else
        local from = math.max(top - share, floor)
        local part = call('ZRANGE', key, from, top - 1, 'WITHSCORES')
        local last = #part - 1
        top = from
        while last >= 1 do
          local first = last
          while first > 1 and part[first - 1] == part[last + 1] do first = first - 2 end
          local low = first == 1 and from > floor and call('ZCOUNT', key, '-inf', '(' .. part[2]) or from
          if low < from then  -- the records of this time begin before this part
            at, past, top = low, from + (last + 1) / 2, low
          else
            keep_all(self, part, first, last)
          end
          last = first - 2
        end
      end
    end
  end
  return list
end

-- Return a list that begins with the next keys of a job, and gets those that follow when it is at its end.
local function of_job(id, share)
  local list, beginning = {}, id .. '\0'
  local top = '(' .. id .. '\1'
  if f[3] ~= '' then top = '(' .. beginning .. f[3] end
  if after then
    local here = {nominal = after, key = beginning .. after}
    if f[3] == '' or is_later({nominal = f[3], key = ''}, here) then
      top = (less(after_id, id) and '[' or '(') .. beginning .. after
    end
  end
  local bottom = '[' .. beginning .. f[2]
  function list.more(self)
    for i = #self, 1, -1 do self[i] = nil end
    while top and #self == 0 do
      local keys = call('ZREVRANGEBYLEX', BY_JOB, top, bottom, 'LIMIT', 0, share)
      top = #keys == share and '(' .. keys[#keys] or nil
      for _, key in ipairs(keys) do
        local nominal = nominal_of(key)
        if nominal then self[#self + 1] = {key = key, nominal = nominal, score = 0, from = RUNS} end
      end
    end
  end
  return list
end

-- Return the next runs under way.
local function claimed()
  local known, found = {}, {}
  for _, id in ipairs(ids) do known[id] = true end
  local here = after and {key = after_key, nominal = after, score = after_score}
  for _, run in ipairs(under_way_within(lowest, highest)) do
    if (not of_jobs or known[match(run.key, '^[^%z]*')]) and (not here or before(here, run)) then found[#found + 1] = run end
  end
  if #found > 2 * STEP then  -- only the newest are sorted
    local scores, newest = {}, {}
    for i, run in ipairs(found) do scores[i] = run.score end
    table.sort(scores)
    for _, run in ipairs(found) do
      if run.score >= scores[#scores - STEP + 1] then newest[#newest + 1] = run end
    end
    found = newest
  end
  table.sort(found, before)
  return found
end

local lists = {}
if wanted['claimed'] then lists[1] = claimed() end
if of_jobs then
  local share = math.max(math.ceil(2 * STEP / #ids), 2)
  for _, id in ipairs(ids) do lists[#lists + 1] = of_job(id, share) end
else
  for _, status in ipairs({'waiting', unpack(STATUSES)}) do
    if wanted[status] then lists[#lists + 1] = of_status(status, math.min(STEP, math.ceil(2 * STEP / statuses))) end
  end
end
local found, more = merged(lists, before, count)
local keys, of_claimed = {}, {}
for _, run in ipairs(found) do add(run.from == RUNS and keys or of_claimed, 1, run.key) end
local ended, claims, ends, begun = get(RUNS, keys[1] or {}), get(CLAIMED, of_claimed[1] or {}), 0, 0
local answer = {}
for _, run in ipairs(found) do
  local document
  if run.from == RUNS then
    ends = ends + 1
    document = ended[ends]
  else
    begun = begun + 1
    document = claims[begun]
  end
  local fits = document and (run.from == CLAIMED or wanted[match(document, '^{"status":"([%l_]+)"')])
  for _, words in ipairs(groups) do
    local has = false
    for _, word in ipairs(words) do has = has or fits and find(document, word, 1, true) end
    fits = fits and has
  end
  if fits then answer[#answer + 1] = run.key .. '\0' .. shown(document) .. '\0' end
end
return {#found, more and found[#found].key or '', table.concat(answer)}
