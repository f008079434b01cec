-- Return a part of the jobs that have one of some states.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  cursor, states (none: any)
-- Returns  the next cursor; id and due time of each ("held", or empty without one), each ended by a NUL

local f, n = fields(ARGV[1])
local step = call('HSCAN', STATES, f[1], 'COUNT', 1000)
local wanted, found = {}, {}
for i = 2, n do wanted[f[i]] = true end
for i = 1, #step[2], 2 do
  local _, _, rest = parse(step[2][i + 1])
  local state, due = match(rest, '^"(%a+)",[^,]+,"?([%w%-]+)')
  state = state or 'quarantined'
  if state ~= 'ended' and (n == 1 or wanted[state]) then
    if due ~= 'held' and not tonumber(due) then due = '' end
    found[#found + 1] = step[2][i] .. '\0' .. due .. '\0'
  end
end
return {step[1], table.concat(found)}
