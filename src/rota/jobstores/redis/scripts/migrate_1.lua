-- Migrate the keys from version 1 to 2.
--
-- Records have the name and the callable of jobs that are gone, and results of more kinds. What is there stays as it is,
-- but older versions of Rota must not read it.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  nothing
-- Returns  how many fields are new; 0 if the keys have another version

if call('HGET', META, 'schema') ~= '1' then return 0 end
return call('HSET', META, 'schema', '2')
