-- Cancel a run: one that waits ends, of one that is under way its node is told.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id, nominal time; reason, as it is and as JSON; document as it was found, document of the end of a run that waits
--          (empty: it did not)
-- ARGV[2]  the origin that wake-ups carry
-- ARGV[3]  what the end of a run that waits leaves at other jobs; see _follow.lua
-- Returns  the document of the record as it is now; "changed" if it waits and is not as it was found; nothing if there is none;
--          "+" and places: as there, nothing is done

-- include _follow

local f = fields(ARGV[1])
local id, nominal, reason, quoted, before, after = unpack(f)
local key = id .. '\0' .. nominal
local document = call('HGET', CLAIMED, key)
if document then
  if call('HEXISTS', CANCELS, key) == 0 then
    call('HSET', CANCELS, key, reason)
    if sub(document, -1) == '}' and not find(document, ',"cancel":', 1, true) then
      local origin = find(document, ',"origin":', 1, true) and '' or ',"origin":"schedule"'
      document = sub(document, 1, -2) .. origin .. ',"cancel":' .. quoted .. '}'
      call('HSET', CLAIMED, key, document)
    end
    call('PUBLISH', WAKE, ARGV[2])
  end
  return shown(document)
end
document = call('HGET', RUNS, key)
if not document or not starts(document, '{"status":"waiting"') then return document and shown(document) or nil end
local member = member_of(key, document)
if shown(document) ~= before or after == '' or not member then return 'changed' end
local followed = followers()
local function is_written(parent) return parent == key end
local taken = met(followed, is_written)
if taken then return taken end
end_waiting(key, member, 'cancelled', after)
follow(followed, is_written)
local _, class = key_of(member)
if class == '0' then count_down({[id] = 1}) end  -- R6
settle(id)
return after
