-- Marks a waiting job as withdrawn. A mark that comes after the worker read the request has no effect, so it is
-- refused here. HDEL first: a write that maxmemory does not refuse.
local job = KEYS[1]
local status = redis.call('HGET', job, 'status')
if not status then return 'absent' end
if status ~= 'queued' then return 'too_late' end
redis.call('HDEL', job, 'withdrawn')
redis.call('HSET', job, 'withdrawn', '1')
return 'marked'
