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
local function parse(state)
  local version, running, from = match(state, '^%[(%d+),(%-?%d+),()')
  if not from then return '0', 0, '' end
  return version, tonumber(running), sub(state, from)
end
local function starts(text, beginning) return sub(text, 1, #beginning) == beginning end
local function show(found, id, spec, state)
  found[#found + 1] = id .. '\\0' .. spec .. '\\0' .. state .. '\\0'
end
local function is_ended(rest) return starts(rest, '"ended"') end
local function make(version, running, rest) return '[' .. version .. ',' .. running .. ',' .. rest end
local function raised(version) return string.format('%d', tonumber(version) + 1) end
local function executor_of(state)
  local whole, parts = pcall(cjson.decode, state)
  return whole and parts[6] or ''
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
  call('HDEL', JOBS, id)
  call('HDEL', STATES, id)
  for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do call('ZREM', TIMES .. executor, id) end
  call('SREM', BROKEN, id)
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
local function count_down(ended)
  local ids = {{}}
  for id in pairs(ended) do ids[#ids + 1] = id end
  local states, changed = get(STATES, ids), {{}}
  for i, id in ipairs(ids) do
    local state = states[i]
    if state then
      local version, running, rest = parse(state)
      running = running - ended[id]
      if running <= 0 and is_ended(rest) then
        forget(id)
      else
        local nominal
        if running <= 0 then rest, nominal = released(rest) end
        changed[#changed + 1] = id
        changed[#changed + 1] = make(version, running, rest)
        if nominal and starts(rest, '"active"') then place(id, executor_of(state), nominal) end
      end
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
