-- Return a part of the index of tags.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  tag and id to go on from (both empty: the first), how many
-- Returns  tag and id of each, each ended by a NUL

-- include _order

local f = fields(ARGV[1])
local from = f[1] == '' and f[2] == '' and '-' or '(' .. f[1] .. '\0' .. f[2]
put_in_order(TAGS)
local found = call('ZRANGEBYLEX', TAGS, from, '+', 'LIMIT', 0, f[3])
found[#found + 1] = ''
return table.concat(found, '\0')
