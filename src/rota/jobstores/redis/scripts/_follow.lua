-- Runs that the ends of others leave at the jobs after them, in the step that writes these ends.

-- include _waiting

-- Return what ends leave, as ARGV[3] has it: for each id and nominal time of the run that ends; id, nominal time, status and document
-- of the new one.
local function followers()
  local found = {}
  if not ARGV[3] then return found end
  local f, n = fields(ARGV[3])
  for i = 1, n, 6 do
    found[#found + 1] = {parent = f[i] .. '\0' .. f[i + 1], id = f[i + 2], key = f[i + 2] .. '\0' .. f[i + 3], nominal = f[i + 3],
      status = f[i + 4], document = f[i + 5]}
  end
  return found
end

-- Return "+" and the places of those whose key has a record already (R4), nothing if there are none.
--
-- is_written  whether the end of a run, by its key, is about to be written
local function met(found, is_written)
  local places = {}
  for i, each_of in ipairs(found) do
    local key = each_of.key
    if is_written(each_of.parent) and (call('HEXISTS', RUNS, key) == 1 or call('HEXISTS', CLAIMED, key) == 1) then
      places[#places + 1] = tostring(i - 1)
    end
  end
  return #places > 0 and '+' .. table.concat(places, ',') or nil
end

-- Write them, as far as their jobs are there.
local function follow(found, is_written)
  for _, each_of in ipairs(found) do
    if is_written(each_of.parent) and call('HEXISTS', JOBS, each_of.id) == 1 and call('HEXISTS', STATES, each_of.id) == 1 then
      local key, status, document = each_of.key, each_of.status, each_of.document
      if status == 'waiting' then
        write_waiting(key, document)
      else
        write({key}, {key, document}, {[status] = {score(each_of.nominal), key}})
      end
    end
  end
end
