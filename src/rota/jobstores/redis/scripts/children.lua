-- Return the jobs that are noted as started by the ends of others; some of them may be started otherwise by now.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  the ids of the others
-- Returns  id, spec and state of each, each ended by a NUL

local f, n = fields(ARGV[1])
local found = {}
for i = 1, n do
  local tag = '\1' .. f[i]
  for _, member in ipairs(call('ZRANGEBYLEX', TAGS, '[' .. tag .. '\0', '(' .. tag .. '\1')) do
    local id = sub(member, #tag + 2)
    local spec, state = call('HGET', JOBS, id), call('HGET', STATES, id)
    if spec and state then show(found, id, spec, state) end
  end
end
return table.concat(found)
