-- Return the names of the next jobs in the order of their ids: of all, or of those with a tag.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  tag (empty: all), id after which to go on (empty: the first), how many
-- Returns  the last id (empty: these were all); id, and the beginning of the spec up to the end of the name, each ended by a NUL

-- include _order

local f = fields(ARGV[1])
local key, beginning, to = IDS, '', '+'
if f[1] ~= '' then key, beginning, to = TAGS, f[1] .. '\0', '(' .. f[1] .. '\1' end
put_in_order(key)
local from = f[2] == '' and (beginning == '' and '-' or '[' .. beginning) or '(' .. beginning .. f[2]
local ids = call('ZRANGEBYLEX', key, from, to, 'LIMIT', 0, f[3])
for i, member in ipairs(ids) do ids[i] = sub(member, #beginning + 1) end
local specs, found = get(JOBS, ids), {}
for i, id in ipairs(ids) do
  if specs[i] then found[#found + 1] = id .. '\0' .. shown(match(specs[i], '^(%[".-", ".-)", "') or '') .. '\0' end
end
return {#ids == tonumber(f[3]) and ids[#ids] or '', table.concat(found)}
