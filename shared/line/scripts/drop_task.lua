-- Forgets a failed background task: its entry, hash and results. One whose hash has expired has an entry only.
local job, registry, result, dependents, installation = unpack(KEYS, 1, 5)
local want_installation, id, queue_name = unpack(ARGV, 1, 3)
if redis.call('GET', installation) ~= want_installation then return 'foreign' end
local failed = redis.call('ZSCORE', registry, id)
local found = redis.pcall('HGET', job, 'origin')
if type(found) == 'table' or (found and found ~= queue_name) or not (found or failed) then return 'absent' end
if not failed then return 'not_failed' end
redis.call('ZREM', registry, id)
redis.call('DEL', job, result, dependents)
return 'done'
