-- Takes unreadable ids out of flight and keeps them in the partition's list of lost ones.
local in_flight, token_key, started, lost, counters = unpack(KEYS, 1, 5)
if redis.call('GET', token_key) ~= ARGV[1] then return {'outdated'} end
-- Reads that fail when a key has the wrong type: after the first write it would be too late.
redis.call('ZCARD', started)
redis.call('LLEN', lost)
redis.call('HLEN', counters)
for index = 3, #ARGV do
  if redis.call('LREM', in_flight, 1, ARGV[index]) == 1 then
    redis.call('ZREM', started, ARGV[index] .. ARGV[2])
    redis.call('RPUSH', lost, ARGV[index])
    redis.call('HINCRBY', counters, 'decided', 1)
  end
end
return {'set_aside'}
