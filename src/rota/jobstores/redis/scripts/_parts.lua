-- Read what is kept beside records.

-- Return name and text of each part of a run.
local function parts_of(key)
  local found, names = {}, call('HGET', PARTS, key)
  for _, name in ipairs(names and fields(names) or {}) do
    local text = call('HGET', PARTS, key .. '\0' .. name)
    if text then found[#found + 1] = name; found[#found + 1] = text end
  end
  return found
end
