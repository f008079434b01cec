-- Tell whether runs of a job wait.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  id
-- Returns  1, or 0 if none does

return has_waiting(fields(ARGV[1])[1]) and 1 or 0
