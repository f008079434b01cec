-- Return what is left of backfills.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  the instant from which on questions count
-- Returns  id, job id and what is left of each

-- include _requests

return backfills_among(requests_from(tonumber(fields(ARGV[1])[1])))
