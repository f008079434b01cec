-- Delete records.

local function delete(status, keys)
  each('ZREM', STATUS .. status, keys)
  each('ZREM', BY_JOB, keys)
  each('HDEL', RUNS, keys)
end
