-- Return the jobs that are due first, with or without being due yet.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  how many of each executor at most
-- Returns  id and due time of each, each ended by a NUL

local found = {}
for _, executor in ipairs(call('SMEMBERS', EXECUTORS)) do
  local first = call('ZRANGE', TIMES .. executor, 0, fields(ARGV[1])[1] - 1, 'WITHSCORES')
  for i = 1, #first do found[#found + 1] = first[i] end
end
found[#found + 1] = ''
return table.concat(found, '\0')
