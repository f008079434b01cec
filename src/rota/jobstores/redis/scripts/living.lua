-- Count the nodes whose lease is not over.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  now
-- Returns  how many

return call('ZCOUNT', NODES, fields(ARGV[1])[1], '+inf')
