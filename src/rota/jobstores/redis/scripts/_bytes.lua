-- Compare texts as the server sorts them.

-- Whether a text is before another one, by bytes; what Lua does by itself depends on the server's language.
local function less(a, b)
  if a == b then return false end
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- Return the first rank from low on, and below high, whose member is after a text; all of these ranks have one score.
local function rank_after(key, low, high, text)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if less(text, call('ZRANGE', key, middle, middle)[1]) then high = middle else low = middle + 1 end
  end
  return low
end

-- Return up to some members of several lists, in order.
--
-- lists   each in order; one with a function "more" is filled by it again when it is at its end
-- before  whether what is at the head of one list is before that of another
-- Returns what was found, and whether there is more
local function merged(lists, before, count)
  local heap, found = {}, {}
  local function sink(i)
    while true do
      local child = 2 * i
      if not heap[child] then return end
      if heap[child + 1] and before(heap[child + 1].head, heap[child].head) then child = child + 1 end
      if not before(heap[child].head, heap[i].head) then return end
      heap[i], heap[child] = heap[child], heap[i]
      i = child
    end
  end
  local function go_on(list)
    list.at = list.at + 1
    list.head = list[list.at]
    if not list.head and list.more then
      list.more(list)
      list.at, list.head = 1, list[1]
    end
  end
  for _, list in ipairs(lists) do
    list.at = 0
    go_on(list)
    if list.head then heap[#heap + 1] = list end
  end
  for i = math.floor(#heap / 2), 1, -1 do sink(i) end
  while heap[1] and #found < count do
    local list = heap[1]
    found[#found + 1] = list.head
    go_on(list)
    if not list.head then
      heap[1] = heap[#heap]
      heap[#heap] = nil
    end
    if heap[1] then sink(1) end
  end
  return found, heap[1] ~= nil
end
