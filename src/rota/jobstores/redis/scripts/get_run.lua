-- Return the record of a nominal time, and what is kept beside it.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id, nominal time
-- Returns  its document, name and text of each part; nothing if there is none

-- include _parts

local f = fields(ARGV[1])
local key = f[1] .. '\0' .. f[2]
local document = call('HGET', CLAIMED, key) or call('HGET', RUNS, key)
if not document then return {} end
local found = {document}
for _, part in ipairs(parts_of(key)) do found[#found + 1] = part end
return found
