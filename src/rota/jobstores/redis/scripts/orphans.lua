-- Return the claimed runs that no living node owns, and their jobs. The counts of these jobs are put right.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  now, the node that asks, whether its own runs count too (empty: no), whether those of nodes that seem to be dead
--          are left out (empty: no)
-- Returns  id, nominal time and document of each run; id, state and spec of each job; each ended by a NUL. Nothing if the
--          lease of the node that asks is over

-- include _alive

local f = fields(ARGV[1])
local now, node, in_doubt, ownerless = unpack(f)
now = tonumber(now)
local mine = call('ZSCORE', NODES, node)
if not mine or tonumber(mine) < now then return {'', ''} end
-- What stands for an owner if the document is damaged, and if no run has such a key.
local DAMAGED_RUN, NO_RUN = {}, {}
-- Whether the runs of an owner are left to it.
local others = {[''] = false, [DAMAGED_RUN] = false, [NO_RUN] = true}
local runs, ids, seen = {}, {}, {}
local all = call('HGETALL', CLAIMED)
local keys = {}
for i = 1, #all, 2 do
  local key, document = all[i], all[i + 1]
  local owner = owner_of(document) or DAMAGED_RUN
  if not is_key(key) then
    keep(key, document)
    call('HDEL', CLAIMED, key)
    owner = NO_RUN
  else
    keys[#keys + 1] = key
  end
  if others[owner] == nil then
    if owner == node then
      others[owner] = in_doubt == ''
    else
      others[owner] = ownerless ~= '' or is_alive(owner, now)
    end
  end
  if not others[owner] then
    runs[#runs + 1] = key .. '\0' .. shown(document) .. '\0'
    local id = match(key, '^[^%z]*')
    if not seen[id] then seen[id] = true; ids[#ids + 1] = id end
  end
end
count_all(keys)
local states, specs, jobs = get(STATES, ids), get(JOBS, ids), {}
for i, id in ipairs(ids) do
  local state = states[i]
  if state then
    local version, running, rest = parse(state)
    if version ~= '-1' and running ~= under_way(id) then
      state = make(version, under_way(id), rest)
      call('HSET', STATES, id, state)
    end
  end
  jobs[i] = table.concat({id, shown(state or ''), shown(specs[i] or ''), ''}, '\0')
end
return {table.concat(runs), table.concat(jobs)}
