-- A failed background task goes back into its queue, as RQ's own requeue would put it there, in one step: RQ takes it
-- out of the registry first, and a process that dies then loses it. The first write takes away.
local job, registry, queue, queues, installation = unpack(KEYS, 1, 5)
local want_installation, id, queue_name, enqueued_at = unpack(ARGV, 1, 4)
if redis.call('GET', installation) ~= want_installation then return 'foreign' end
local found = redis.pcall('HMGET', job, 'origin', 'data')
if found['err'] or found[1] ~= queue_name or not found[2] then return 'absent' end
if not redis.call('ZSCORE', registry, id) then return 'not_failed' end
-- Reads that fail when a key has the wrong type: after the first write it would be too late.
redis.call('LLEN', queue)
redis.call('SCARD', queues)
redis.call('ZREM', registry, id)
redis.call('HDEL', job, 'started_at', 'ended_at', 'worker_name', 'exc_info')
redis.call('HSET', job, 'status', 'queued', 'enqueued_at', enqueued_at)
redis.call('PERSIST', job)
redis.call('SADD', queues, queue)
redis.call('RPUSH', queue, id)
return 'done'
