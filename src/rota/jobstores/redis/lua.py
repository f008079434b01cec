"""The steps of the Redis store as Lua scripts: each is atomic, since the server carries out one script at a time.

Fields of a payload end with a NUL, which no text in a store contains. What a job is (``JOBS``: a JSON list of texts) is kept apart
from how it stands (``STATES``: ``[version,running,"state",nominal,due,"executor",error]``), so that a claim moves little. Jobs that
will be due are in one sorted set for each executor. Runs are JSON documents by the key ``id NUL nominal``, in ``CLAIMED`` while
they are under way, then in ``RUNS``; the keys of these are in ``BY_JOB`` (sorted by text) and in a sorted set for each status
(sorted by time).
"""

from __future__ import annotations

from hashlib import sha1

#: How many values one command is given; Lua takes about 8000.
_PART = 2000
#: How many digits a version or a count has at most: Lua's numbers are exact up to 2**53.
VERSION_DIGITS = 15

_PRELUDE = f"""
local call, match, sub, find = redis.call, string.match, string.sub, string.find
local function fields(text)
  local found, n, from = {{}}, 0, 1
  local to = find(text, '\\0', 1, true)
  while to do
    n = n + 1
    found[n] = sub(text, from, to - 1)
    from = to + 1
    to = find(text, '\\0', from, true)
  end
  return found, n
end
local function each(command, key, values)
  for first = 1, #values, {_PART} do
    call(command, key, unpack(values, first, math.min(first + {_PART - 1}, #values)))
  end
end
local function get(key, names)
  local found = {{}}
  for first = 1, #names, {_PART} do
    local last = math.min(first + {_PART - 1}, #names)
    local values = call('HMGET', key, unpack(names, first, last))
    for i = 1, last - first + 1 do found[first + i - 1] = values[i] end
  end
  return found
end
-- What is no state of a job has the version -1; a version of more digits would not be exact here.
local function parse(state)
  local version, running, from = match(state, '^%[(%d+),(%-?%d+),()"')
  if not from or #version > {VERSION_DIGITS} or #running > {VERSION_DIGITS} then return '-1', 0, '' end
  return version, tonumber(running), sub(state, from)
end
local function starts(text, beginning) return sub(text, 1, #beginning) == beginning end
local function is_ended(rest) return starts(rest, '"ended"') end
-- A text in an answer; one that would end in the middle of it stands for itself by a digest.
local function shown(text)
  if find(text, '\\0', 1, true) then return '\\1' .. redis.sha1hex(text) end
  return text
end
local function show(found, id, spec, state)
  found[#found + 1] = id .. '\\0' .. shown(spec or '') .. '\\0' .. shown(state) .. '\\0'
end
-- Whether there is a job: not only the count of its last runs.
local function is_job(spec, state)
  if spec then return true end
  local _, _, rest = parse(state)
  return not is_ended(rest)
end
local function is_key(key) return match(key, '^[^%z]+%z%-?%d+$') ~= nil end
-- Keep what is about to be overwritten and is not what a store wrote.
local function keep(name, text) call('HSET', DAMAGED, name, text) end
local function keep_state(id, state)
  if state and parse(state) == '-1' then keep(id, state) end
end
local function make(version, running, rest) return '[' .. version .. ',' .. running .. ',' .. rest end
local function raised(version) return string.format('%d', tonumber(version) + 1) end
local function executor_of(state)
  local whole, parts = pcall(cjson.decode, state)
  local executor = whole and type(parts) == 'table' and parts[6]
  return type(executor) == 'string' and executor or ''
end
-- How many runs of each job are under way: what the counts in the states have to be.
local counted
local function under_way(id)
  if not counted then
    counted = {{}}
    for _, key in ipairs(call('HKEYS', CLAIMED)) do
      local of = match(key, '^[^%z]*')
      counted[of] = (counted[of] or 0) + 1
    end
  end
  return counted[id] or 0
end
local function add(groups, name, value)
  local group = groups[name]
  if not group then group = {{}}; groups[name] = group end
  group[#group + 1] = value
end
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
  place_all(executor, {{due, id}})
end
local function released(rest)
  local nominal = find(rest, '"held"', 1, true) and match(rest, '^"%a+",(%-?%d+),"held"')
  if not nominal then return rest, nil end
  return string.gsub(rest, '"held"', nominal, 1), nominal
end
local function forget(id)
  for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do call('ZREM', TIMES .. executor, id) end
  call('SREM', BROKEN, id)
  call('HDEL', JOBS, id)
  call('HDEL', STATES, id)
end
local function score(nominal)
  if sub(nominal, 1, 1) ~= '-' then return nominal end
  return string.format('%.0f', tonumber(sub(nominal, 2)) - 1e19)
end
local function write(keys, documents, of_status)
  each('HSET', RUNS, documents)
  for status, values in pairs(of_status) do each('ZADD', STATUS .. status, values) end
  local unsorted = {{}}
  for i, key in ipairs(keys) do unsorted[2 * i - 1] = 0; unsorted[2 * i] = key end
  each('ZADD', BY_JOB, unsorted)
end
-- Returns the state of a job with another count of its runs, and the time at which it is due if it waited for their end; nothing
-- if they were all that kept it.
local function counting(version, running, rest)
  if running <= 0 and is_ended(rest) then return nil end
  local nominal
  if running <= 0 then rest, nominal = released(rest) end
  return make(version, running, rest), nominal and starts(rest, '"active"') and nominal
end
local function count_down(ended)
  local ids = {{}}
  for id in pairs(ended) do ids[#ids + 1] = id end
  local states, changed = get(STATES, ids), {{}}
  for i, id in ipairs(ids) do
    local version, running, rest
    if states[i] then version, running, rest = parse(states[i]) end
    if version and version ~= '-1' then
      local state, nominal = counting(version, math.max(running - ended[id], 0), rest)
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
"""


class Script:
    """A script with the names of a store's keys.

    :ivar text: the script
    :ivar sha: its name on the server
    """

    __slots__ = ("sha", "text")

    def __init__(self, names: str, body: str) -> None:
        self.text = names + _PRELUDE + body
        self.sha = sha1(self.text.encode()).hexdigest()


def quoted(value: str) -> str:
    """Return a text as a Lua literal."""
    return '"' + "".join(f"\\{byte:03d}" for byte in value.encode()) + '"'
