-- What all scripts share: it is put in front of each of them, behind the names of the store's keys.
--
-- A script is called with one key and two arguments:
--
-- KEYS[1]  the hash of the jobs; on a cluster it leads to the node that has all keys of the store
-- ARGV[1]  the fields of the request, each ended by a NUL, which no text in a store contains
-- ARGV[2]  the origin of the request, which wake-ups carry: a process does not wake itself up
-- ARGV[3]  more fields, which few requests have
--
-- Keys (their names are locals in front of this file; see layout.py):
--
-- JOBS         hash by job id: what a job is (its spec), a JSON list of texts
-- STATES       hash by job id: how a job stands, [version,running,"state",nominal,due,"executor",error]. It is kept apart
--              from JOBS, so that a claim moves little. What follows the second comma is called rest
-- TIMES        what the names of these begin with, for each executor: sorted set of the jobs that will be due, by due time
-- EXECUTORS    set of the executors that have such a set
-- QUARANTINED  set of the jobs in quarantine
-- CLAIMED      hash of the runs under way: JSON documents by their keys, "id NUL nominal"
-- RUNS         hash of the runs that have ended or wait, likewise
-- BY_JOB       sorted set of the keys of these, all with the score 0, so that they are sorted by text
-- STATUS       what the names of these begin with, for each status: sorted set of the keys of its runs, by nominal time
-- NODES        sorted set of the nodes, by the end of their leases
-- ANSWERS      hash by node: the last answer that it got, behind the token of its request, for a request that comes twice
-- IDS          sorted set of the ids of the jobs, all with the score 0, so that they are sorted by text. Those of removed jobs stay
--              until housekeeping comes by, as do the following three
-- TAGS         sorted set of the tags of jobs, "tag NUL id", likewise
-- CHANGES      hash by job id: its last edits, each ended by a NUL
-- DURATIONS    hash by job id: how long its runs took
-- PARTS        hash of what is kept beside records: by the key of a run the names of its parts, each ended by a NUL; by this key,
--              a NUL and such a name what the part says
-- HOURS        sorted set of how many records there were, "hour status count", by hour; of hours that are not counted yet, how many
--              are forgotten, "+hour status count"
-- WAITING      sorted set of the runs that wait, sorted by text: "id NUL class NUL not_before NUL nominal"; class 0 keeps its place
--              among the runs of its job, class 1 was asked for and starts while its job is paused, class 2 is the rest
-- WAITING_JOBS sorted set of "class id" by the earliest not_before of such runs
-- CANCELS      hash of what was asked of runs under way by their keys: the reason why they are to stop
-- ASKED        hash of the keys that runs were asked for with, "id NUL key": nominal time and instant
-- REQUESTS     hash by id of what nodes are asked: node, kind, instant, job, nominal time, each ended by a NUL
-- REPLIES      hash by id of what they answered
-- DAMAGED      hash of what was overwritten and was not what a store had written
-- META         hash: the schema version, the identity of the store, the hour up to which records are counted in HOURS; for each
--              node how long its lease is, how often it was renewed, when it began, and what the node says of itself
--
-- R1 to R6 are the rules of the claim protocol; rota.core.transitions says what they are.

local call, match, sub, find = redis.call, string.match, string.sub, string.find
-- How many values one command is given; Lua takes about 8000.
local PART = 2000
-- How many digits a version or a count has at most: Lua's numbers are exact up to 2^53.
local VERSION_DIGITS = 15

-- Return the fields of a request, and how many there are.
local function fields(text)
  local found, n, from = {}, 0, 1
  local to = find(text, '\0', 1, true)
  while to do
    n = n + 1
    found[n] = sub(text, from, to - 1)
    from = to + 1
    to = find(text, '\0', from, true)
  end
  return found, n
end

-- Call a command with some values, in parts.
local function each(command, key, values)
  for first = 1, #values, PART do
    call(command, key, unpack(values, first, math.min(first + PART - 1, #values)))
  end
end

-- Return fields of a hash; false for one that there is not.
local function get(key, names)
  local found = {}
  for first = 1, #names, PART do
    local last = math.min(first + PART - 1, #names)
    local values = call('HMGET', key, unpack(names, first, last))
    for i = 1, last - first + 1 do found[first + i - 1] = values[i] end
  end
  return found
end

-- Return version, running and rest of a state; what is no state of a job has the version -1.
local function parse(state)
  local version, running, from = match(state, '^%[(%d+),(%-?%d+),()"')
  if not from or #version > VERSION_DIGITS or #running > VERSION_DIGITS then return '-1', 0, '' end
  return version, tonumber(running), sub(state, from)
end

local function starts(text, beginning) return sub(text, 1, #beginning) == beginning end
local function is_ended(rest) return starts(rest, '"ended"') end

-- Return a text for an answer; a text that has a NUL is shown by its digest.
local function shown(text)
  if find(text, '\0', 1, true) then return '\1' .. redis.sha1hex(text) end
  return text
end

-- Append a job to an answer.
local function show(found, id, spec, state)
  found[#found + 1] = id .. '\0' .. shown(spec or '') .. '\0' .. shown(state) .. '\0'
end

-- Whether there is a job, and not only the count of its last runs.
local function is_job(spec, state)
  if spec then return true end
  local _, _, rest = parse(state)
  return not is_ended(rest)
end

-- Whether a text is the key of a run.
local function is_key(key) return match(key, '^[^%z]+%z%-?%d+$') ~= nil end

-- Keep what is about to be overwritten and is not what a store wrote.
local function keep(name, text) call('HSET', DAMAGED, name, text) end
local function keep_state(id, state)
  if state and parse(state) == '-1' then keep(id, state) end
end

-- Return a state of its parts.
local function make(version, running, rest) return '[' .. version .. ',' .. running .. ',' .. rest end

local function raised(version) return string.format('%d', tonumber(version) + 1) end

local function executor_of(state)
  local whole, parts = pcall(cjson.decode, state)
  local executor = whole and type(parts) == 'table' and parts[6]
  return type(executor) == 'string' and executor or ''
end

-- How many runs of each job are under way, once they were counted: what the counts in the states have to be. A run that waits and
-- keeps its place counts as well.
local counted, anybody_waits

local function count_all(keys)
  counted = {}
  for _, key in ipairs(keys) do
    local of = match(key, '^[^%z]*')
    counted[of] = (counted[of] or 0) + 1
  end
end

local function under_way(id)
  if not counted then count_all(call('HKEYS', CLAIMED)) end
  if anybody_waits == nil then anybody_waits = call('EXISTS', WAITING) == 1 end
  local kept = anybody_waits and call('ZLEXCOUNT', WAITING, '[' .. id .. '\0000\0', '(' .. id .. '\0000\1') or 0
  return (counted[id] or 0) + kept
end

-- Whether runs of a job wait.
local function has_waiting(id) return call('ZLEXCOUNT', WAITING, '[' .. id .. '\0', '(' .. id .. '\1') > 0 end

-- Append a value to the list of a name.
local function add(groups, name, value)
  local group = groups[name]
  if not group then group = {}; groups[name] = group end
  group[#group + 1] = value
end

-- Put jobs of an executor (due time and id in turn) among those that will be due; wake others up if one is due before all of these.
local function place_all(executor, values)
  if #values == 0 then return end
  local times = TIMES .. executor
  local first = call('ZRANGE', times, 0, 0, 'WITHSCORES')
  local least = first[2] and tonumber(first[2]) or math.huge
  for i = 1, #values, 2 do
    if tonumber(values[i]) < least then call('PUBLISH', WAKE, ARGV[2]) break end
  end
  each('ZADD', times, values)
end

local function place(id, executor, due)
  if due == '' then call('ZREM', TIMES .. executor, id) return end
  place_all(executor, {due, id})
end

-- Return the rest of a job that waits for its runs as it is when they have ended, and its due time (R6).
local function released(rest)
  local nominal = find(rest, '"held"', 1, true) and match(rest, '^"%a+",(%-?%d+),"held"')
  if not nominal then return rest, nil end
  return string.gsub(rest, '"held"', nominal, 1), nominal
end

-- How many runs of a job may be under way when it is due again, if it waits for their end. What only looks like an option may be
-- taken for one: the job is planned once more then, and waits again.
local function spare(id)
  local spec = call('HGET', JOBS, id) or ''
  local overlap = match(spec, 'overlap\\*": *\\*"([%a_]+)')
  if not overlap or overlap == 'allow_all' then return 0 end
  return tonumber(match(spec, 'max_instances\\*": *(%d+)') or '1') - 1
end

-- Delete a job.
local function forget(id)
  for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do call('ZREM', TIMES .. executor, id) end
  call('SREM', QUARANTINED, id)
  call('HDEL', JOBS, id)
  call('HDEL', STATES, id)
end

-- Add members to a sorted set that is sorted by text.
local function index(key, members)
  local values = {}
  for i, member in ipairs(members) do values[2 * i - 1] = 0; values[2 * i] = member end
  each('ZADD', key, values)
end

-- Return the score of a nominal time as it stands in a key: sorted by text, negative ones too.
local function score(nominal)
  if sub(nominal, 1, 1) ~= '-' then return nominal end
  return string.format('%.0f', tonumber(sub(nominal, 2)) - 1e19)
end

-- Write records: their keys, key and document in turn, and score and key in turn of each status.
local function write(keys, documents, of_status)
  each('HSET', RUNS, documents)
  for status, values in pairs(of_status) do each('ZADD', STATUS .. status, values) end
  index(BY_JOB, keys)
end

-- The ends after which a job whose schedule is over stays.
local FAILURES = {failed = true, timed_out = true, lost = true}

-- Whether a run has failed, as its node says, that somebody has asked to stop.
local function is_asked_to_stop(document, fence, status)
  local has_failed = status == 'failed' or status == 'lost'
  return has_failed and document and starts(document, fence) and find(document, ',"cancel":', 1, true)
end

-- Whether a job whose schedule is over is one that stays, though no run of it is left.
local function stays(id, running) return running <= 0 and call('HEXISTS', JOBS, id) == 1 end

-- Return the state of a job with another count of its runs, and its due time if it waited for their end (R6); nothing if only they
-- kept it.
--
-- failed  whether the last of them has not ended well, so that a job whose schedule is over stays
local function counting(id, version, running, rest, failed)
  if running <= 0 and is_ended(rest) and not has_waiting(id) and not (failed and stays(id, 0)) then return nil end
  local nominal
  if running <= 0 or find(rest, '"held"', 1, true) and running <= spare(id) then rest, nominal = released(rest) end
  return make(version, running, rest), nominal and starts(rest, '"active"') and nominal
end

-- Write what was counted of the ends of a job's runs, with a higher version, as an edit would (R1): its spec, and its rest, as it is
-- paused after failures in a row.
local function write_counted(id, spec, rest)
  local version, running, before = parse(call('HGET', STATES, id))
  if starts(before, '"active"') and not starts(rest, '"active"') then
    for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do call('ZREM', TIMES .. executor, id) end
  end
  call('HSET', JOBS, id, spec)
  call('HSET', STATES, id, make(raised(version), running, rest))
end

-- Take ended runs (number by id) off the counts of their jobs (R6).
--
-- failed  the ids of those whose last run has not ended well
local function count_down(ended, failed)
  local ids = {}
  for id in pairs(ended) do ids[#ids + 1] = id end
  local states, changed = get(STATES, ids), {}
  for i, id in ipairs(ids) do
    local version, running, rest
    if states[i] then version, running, rest = parse(states[i]) end
    if version and version ~= '-1' then
      local state, nominal = counting(id, version, math.max(running - ended[id], 0), rest, failed and failed[id])
      if state then
        changed[#changed + 1] = id
        changed[#changed + 1] = state
      else
        forget(id)
      end
      if nominal then pcall(place, id, executor_of(state), nominal) end
    end
  end
  each('HSET', STATES, changed)
end
