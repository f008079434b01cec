-- Read a run's document.

-- Return the node of a run, empty if it has none; nothing if the document is damaged.
local function owner_of(document)
  local owner = match(document, '"owner":"([%w%-%._]*)"')
  if owner then return owner end
  local whole, run = pcall(cjson.decode, document)
  if not whole or type(run) ~= 'table' then return nil end
  owner = run['owner']
  if owner == nil or owner == cjson.null then return '' end
  return type(owner) == 'string' and owner or nil
end
