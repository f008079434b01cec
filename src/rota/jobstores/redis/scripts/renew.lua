-- Begin or prolong a lease. In a store that is not the one that the node knows nothing is changed.
--
-- KEYS[1]  the hash of the jobs
-- ARGV[1]  node, now, until; whether it has runs in hand, whether to look at them anyway (empty: no);
--          identity of the store, how often the lease was renewed and until when it lasts, as the node knows
-- Returns  how often the lease has been renewed, and nothing more if it had not run out, else the runs that the node has:
--          "=", and id, nominal time and attempt of each, each ended by a NUL;
--          "?", the identity of the store, and how often the lease was renewed (empty: there is none), if it is another
--          store

-- include _owner

local f = fields(ARGV[1])
local node, now, to, has_runs, in_doubt, store, known, until_then = unpack(f)
local identity, before = call('HGET', META, 'identity') or '', call('ZSCORE', NODES, node)
local renewals = before and (call('HGET', META, 'renewals ' .. node) or '0')
-- What is no count begins anew.
local is_none = renewals and not (match(renewals, '^%d+$') and #renewals <= VERSION_DIGITS)
renewals = is_none and tonumber(known) or tonumber(renewals)
known = tonumber(known)
if identity ~= store or (not before and known > 0 and tonumber(now) <= tonumber(until_then)) or (before and renewals < known) then
  return {'?', identity, renewals and tostring(renewals) or ''}
end
call('ZADD', NODES, to, node)
if not before then call('HSET', META, 'started ' .. node, now) end
call('HSET', META, 'length ' .. node, string.format('%d', tonumber(to) - tonumber(now)))
if is_none then call('HDEL', META, 'renewals ' .. node) end
renewals = tostring(call('HINCRBY', META, 'renewals ' .. node, 1))
local ran = before and tonumber(before) >= tonumber(now)
if (ran and in_doubt == '') or (not before and has_runs == '') then return {renewals, ''} end
local all, found = call('HGETALL', CLAIMED), {'='}
for i = 1, #all, 2 do
  if owner_of(all[i + 1]) == node and is_key(all[i]) then
    found[#found + 1] = all[i] .. '\0' .. (match(all[i + 1], '"attempt":(%d+)') or '') .. '\0'
  end
end
return {renewals, table.concat(found)}
