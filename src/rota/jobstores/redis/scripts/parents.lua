-- Return the ids of the jobs whose ends start others, as far as that is noted.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  nothing
-- Returns  the ids

local found, before = {}, nil
for _, member in ipairs(call('ZRANGEBYLEX', TAGS, '[\1', '(\2')) do
  local parent = match(member, '^\1([^%z]*)')
  if parent and parent ~= before then found[#found + 1] = parent end
  before = parent
end
return found
