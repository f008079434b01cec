-- Make claimed runs wait, and let their jobs go on (R6).
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  for each run: id, nominal time, fence, document
-- ARGV[2]  the origin that wake-ups carry
-- Returns  "1", "0" (refused), "2" (refused, as somebody has asked it to stop) or "3" (refused, as its job was removed) for each

-- include _waiting

local f, n = fields(ARGV[1])
local answer, ended = {}, {}
for i = 1, n, 4 do
  local key = f[i] .. '\0' .. f[i + 1]
  local document = call('HGET', CLAIMED, key)
  local is_mine = document and starts(document, f[i + 2])
  if is_mine and call('HEXISTS', CANCELS, key) == 1 then
    answer[#answer + 1] = '2'
  elseif is_mine and call('HEXISTS', JOBS, f[i]) == 0 then
    answer[#answer + 1] = '3'
  elseif is_mine then  -- R5
    write_waiting(key, f[i + 3])
    call('HDEL', CLAIMED, key)
    call('HDEL', CANCELS, key)
    local _, class = key_of(member_of(key, f[i + 3]))
    if class ~= '0' then ended[f[i]] = (ended[f[i]] or 0) + 1 end
    answer[#answer + 1] = '1'
  else
    answer[#answer + 1] = call('HGET', RUNS, key) == f[i + 3] and '1' or '0'  -- the very same request may come twice
  end
end
count_down(ended)  -- R6
return table.concat(answer)
