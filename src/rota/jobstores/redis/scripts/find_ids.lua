-- Look at the next jobs in the order of their ids: all, or those with a tag.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  tag (empty: all), id after which to go on (empty: the first), how many, states of the jobs that are shown (none: any)
-- Returns  how many were looked at; the last id (empty: these were all); id, spec and state of each, each ended by a NUL

-- include _order

local f, n = fields(ARGV[1])
local wanted = {}
for i = 4, n do wanted[f[i]] = true end
local key, beginning, to = IDS, '', '+'
if f[1] ~= '' then key, beginning, to = TAGS, f[1] .. '\0', '(' .. f[1] .. '\1' end
put_in_order(key)
local from = f[2] == '' and (beginning == '' and '-' or '[' .. beginning) or '(' .. beginning .. f[2]
local count = tonumber(f[3])
local ids = call('ZRANGEBYLEX', key, from, to, 'LIMIT', 0, count + 1)
for i, member in ipairs(ids) do ids[i] = sub(member, #beginning + 1) end
local more = #ids > count
if more then ids[#ids] = nil end
local looked_at, known, states, found = #ids, {}, {}, {}
for i, state in ipairs(get(STATES, ids)) do
  -- What is damaged is shown.
  if state and (n < 4 or wanted[match(state, '^%[%d+,%-?%d+,"(%a+)",') or f[4]]) then
    known[#known + 1] = ids[i]
    states[#states + 1] = state
  end
end
local specs = get(JOBS, known)
for i, id in ipairs(known) do
  if is_job(specs[i], states[i]) then show(found, id, specs[i], states[i]) end
end
return {looked_at, more and ids[#ids] or '', table.concat(found)}
