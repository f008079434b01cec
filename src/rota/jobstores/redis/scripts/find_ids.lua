-- Look at the next jobs in the order of their ids: all, or those with a tag.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  tag (empty: all), id after which to go on (empty: the first), how many
-- Returns  how many were looked at; the last id (empty: these were all); id, spec and state of each, each ended by a NUL

local f = fields(ARGV[1])
local key, beginning, to = IDS, '', '+'
if f[1] ~= '' then key, beginning, to = TAGS, f[1] .. '\0', '(' .. f[1] .. '\1' end
local from = f[2] == '' and (beginning == '' and '-' or '[' .. beginning) or '(' .. beginning .. f[2]
local count = tonumber(f[3])
local ids = call('ZRANGEBYLEX', key, from, to, 'LIMIT', 0, count + 1)
for i, member in ipairs(ids) do ids[i] = sub(member, #beginning + 1) end
local more = #ids > count
if more then ids[#ids] = nil end
local states, specs, found = get(STATES, ids), get(JOBS, ids), {}
for i, id in ipairs(ids) do
  if states[i] and is_job(specs[i], states[i]) then show(found, id, specs[i], states[i]) end
end
return {#ids, more and ids[#ids] or '', table.concat(found)}
