-- Write how runs ended (R5), and let their jobs go on (R6).
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  for each run: id, nominal time, status, fence, document
-- ARGV[2]  the origin that wake-ups carry
-- ARGV[3]  what these ends leave at other jobs; see _follow.lua
-- Returns  "1", "0" (refused) or "2" (it has failed, and somebody had asked it to stop: nothing is written) for each; or "+" and places: as there, nothing is done

-- include _follow

local f, n = fields(ARGV[1])
local keys = {}
for i = 1, n, 5 do keys[#keys + 1] = f[i] .. '\0' .. f[i + 1] end
local known, answer, ended, failed = get(CLAIMED, keys), {}, {}, {}
local over, documents, of_status = {}, {}, {}
local followed, written = followers(), {}
for r, key in ipairs(keys) do
  local i = 5 * r - 4
  local document = known[r]
  if is_asked_to_stop(document, f[i + 3], f[i + 2]) then
    answer[r] = '2'
  elseif document and starts(document, f[i + 3]) then  -- R5: the owner and attempt that the record names
    answer[r] = '1'
    written[key] = true
    over[#over + 1] = key
    documents[#documents + 1] = key
    documents[#documents + 1] = f[i + 4]
    add(of_status, f[i + 2], score(f[i + 1]))
    add(of_status, f[i + 2], key)
    ended[f[i]] = (ended[f[i]] or 0) + 1
    failed[f[i]] = FAILURES[f[i + 2]]
  else
    answer[r] = call('HGET', RUNS, key) == f[i + 4] and '1' or '0'  -- R5: or the very same end again
  end
end
local function is_written(key) return written[key] end
local taken = met(followed, is_written)
if taken then return taken end
write(over, documents, of_status)  -- may be refused, and may be done again
each('HDEL', CLAIMED, over)
follow(followed, is_written)
count_down(ended, failed)  -- R6
return table.concat(answer)
