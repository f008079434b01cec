-- Return what others ask of a node. What was asked of runs that have ended, and questions that are too old, are forgotten.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  node, the instant from which on questions count
-- Returns  whether it is to claim nothing more ("1" or empty), the version of the layout, the earliest time of the waiting runs
--          (empty: none waits), number of runs to be cancelled, number of backfills; key and reason of each of those runs; job and text
--          of each backfill; id, kind, job and nominal time of each question

-- include _owner
-- include _requests

local f = fields(ARGV[1])
local node = f[1]
local first = call('ZRANGE', WAITING_JOBS, 0, 0, 'WITHSCORES')[2]
local draining = call('HEXISTS', META, 'draining ' .. node) == 1 and '1' or ''
local found, cancels, over = {draining, call('HGET', META, 'schema') or '', first or '', '', ''}, 0, {}
local asked = call('HGETALL', CANCELS)
for i = 1, #asked, 2 do
  local document = call('HGET', CLAIMED, asked[i])
  if not document then
    over[#over + 1] = asked[i]
  elseif owner_of(document) == node and is_key(asked[i]) then
    cancels = cancels + 1
    found[#found + 1] = asked[i]
    found[#found + 1] = asked[i + 1]
  end
end
found[4] = tostring(cancels)
each('HDEL', CANCELS, over)
local requests = requests_from(tonumber(f[2]))
local backfills = backfills_among(requests)
found[5] = string.format('%d', #backfills / 3)
for _, text in ipairs(backfills) do found[#found + 1] = text end
for id, request in pairs(requests) do
  if request[1] == node and call('HEXISTS', REPLIES, id) == 0 then
    for _, text in ipairs({id, request[2], request[4], request[5]}) do found[#found + 1] = text end
  end
end
return found
