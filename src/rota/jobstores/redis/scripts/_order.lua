-- Keep what is sorted by text in order.

-- Give members whose score somebody else has changed the score of the others again; until then nobody finds anything by the text.
local function put_in_order(key)
  if call('ZCOUNT', key, 0, 0) == call('ZCARD', key) then return end
  for _, bounds in ipairs({{'-inf', '(0'}, {'(0', '+inf'}}) do
    repeat
      local members = call('ZRANGEBYSCORE', key, bounds[1], bounds[2], 'LIMIT', 0, PART)
      index(key, members)
    until #members < PART
  end
end
