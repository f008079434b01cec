-- Find the keys of records.

-- include _bytes

-- Return the nominal time of the key of a run as it stands there; nothing if a store has not written it.
local function nominal_of(key)
  local nominal = match(key, '^[^%z]+%z(%-?%d+)$')
  return nominal and #nominal == (starts(nominal, '-') and 20 or 19) and nominal or nil
end

-- Return the keys of the runs under way, each with its nominal time and the number of that, within some bounds.
local function under_way_within(first, to)
  local found = {}
  for _, key in ipairs(call('HKEYS', CLAIMED)) do
    local nominal = nominal_of(key)
    local number = nominal and tonumber(score(nominal))
    if number and number >= first and number < to then
      found[#found + 1] = {key = key, nominal = nominal, score = number, from = CLAIMED}
    end
  end
  return found
end

-- Return the score of a bound; without one what is beyond all.
local function bound(nominal, otherwise)
  return nominal == '' and otherwise or tonumber(score(nominal))
end
