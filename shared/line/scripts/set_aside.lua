-- Takes ids that hold no request out of flight: they are kept in the partition's list of lost ones, their hashes
-- (if there are any) are `failed` and go, and no user's count keeps them.
local in_flight, token_key, started, lost, counters = unpack(KEYS, 1, 5)
local token, suffix, job_prefix, ttl, ended_at = unpack(ARGV, 1, 5)
local undecided_prefix, undecided_before = ARGV[6], ARGV[7]
if redis.call('GET', token_key) ~= token then return {'outdated'} end
-- Reads that fail when a key has the wrong type: after the first write it would be too late.
redis.call('ZCARD', started)
redis.call('LLEN', lost)
redis.call('HLEN', counters)
for index = 8, #ARGV, 2 do
  local id, user = ARGV[index], ARGV[index + 1]
  if redis.call('LREM', in_flight, 1, id) == 1 then
    redis.call('ZREM', started, id .. suffix)
    redis.call('RPUSH', lost, id)
    redis.call('HINCRBY', counters, 'decided', 1)
    if user ~= '' and redis.call('ZREM', undecided_prefix .. string.format('%d', user / 16), id) == 0 then
      redis.call('SREM', string.format(undecided_before, user), id)
    end
    local job = job_prefix .. id
    if redis.call('TYPE', job)['ok'] == 'hash' then
      redis.call('HSET', job, 'status', 'failed', 'ended_at', ended_at)
      redis.call('EXPIRE', job, ttl)
    end
  end
end
return {'set_aside'}
