-- Migrate the keys from version 2 to 3.
--
-- The store has an identity, leases have a count of their renewals, and the records of some runs have a signature. What is
-- there stays as it is.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  nothing
-- Returns  how many fields are new; 0 if the keys have another version

if call('HGET', META, 'schema') ~= '2' then return 0 end
return call('HSET', META, 'schema', '3')
