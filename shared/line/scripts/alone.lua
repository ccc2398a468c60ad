-- Before a request is decided alone: counts the processes that ended with it alone in hand.
local token_key, suspects, alone = KEYS[1], KEYS[2], KEYS[3]
local token, job_id, instance = ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', token_key) ~= token then return {'outdated'} end
local current = redis.call('GET', alone)
redis.call('DEL', alone)
redis.call('SET', alone, job_id)
if current ~= job_id then redis.call('DEL', suspects) end
redis.call('SADD', suspects, instance)
return {'alone', redis.call('SCARD', suspects) - 1}
