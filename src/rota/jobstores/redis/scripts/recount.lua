-- Count how many runs of jobs are under way, and put right what their states say.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  ids
-- Returns  the counts

local ids = fields(ARGV[1])
local states, counts, changed = get(STATES, ids), {}, {}
for i, id in ipairs(ids) do
  counts[i] = under_way(id)
  local version, running, rest
  if states[i] then version, running, rest = parse(states[i]) end
  if version and version ~= '-1' and running ~= counts[i] then
    changed[#changed + 1] = id
    changed[#changed + 1] = make(version, counts[i], rest)
  end
end
each('HSET', STATES, changed)
return counts
