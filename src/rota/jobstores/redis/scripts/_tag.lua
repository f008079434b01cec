-- Write tags of jobs.

-- Add tags (tag and id in turn) to their index.
local function tag(values)
  local members = {}
  for i = 1, #values, 2 do members[#members + 1] = values[i] .. '\0' .. values[i + 1] end
  index(TAGS, members)
end
