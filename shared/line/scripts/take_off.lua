-- Takes ids out of the line that must not be decided there. `recorded`: the ledger knows it, a reply follows.
-- `doubled`: only what comes after its first place. `lost`: nothing in it can be decided. `dropped`: it goes whole.
local token_key, queue, in_flight, started, finished, failed, lost = unpack(KEYS, 1, 7)
local token, why, suffix, job_prefix, result_prefix, ttl, ended_at = unpack(ARGV, 1, 7)
if redis.call('GET', token_key) ~= token then return {'outdated'} end
-- Reads that fail when a key has the wrong type: after the first write it would be too late.
for _, key in ipairs({queue, in_flight, lost}) do redis.call('LLEN', key) end
for _, key in ipairs({started, finished, failed}) do redis.call('ZCARD', key) end

for index = 8, #ARGV do
  local id = ARGV[index]
  local job = job_prefix .. id
  if why == 'doubled' then
    local flying = #redis.call('LPOS', in_flight, id, 'COUNT', 0)
    local waiting = #redis.call('LPOS', queue, id, 'COUNT', 0)
    if flying > 1 then redis.call('LREM', in_flight, 1 - flying, id) end
    if flying > 0 and waiting > 0 then redis.call('LREM', queue, 0, id) end
    if flying == 0 and waiting > 1 then redis.call('LREM', queue, 1 - waiting, id) end
  else
    redis.call('LREM', queue, 1, id)  -- from the head, where those lie that are decided already
    if why ~= 'recorded' then
      redis.call('LREM', in_flight, 0, id)
      redis.call('ZREM', started, id .. suffix)
      redis.call('ZREM', finished, id)
      redis.call('ZREM', failed, id)
      redis.call('DEL', result_prefix .. id)
    end
    if why == 'dropped' then
      redis.call('DEL', job)
      redis.call('LREM', lost, 0, id)
    end
    if why == 'lost' then
      if not redis.call('LPOS', lost, id) then redis.call('RPUSH', lost, id) end
      if redis.call('TYPE', job)['ok'] == 'hash' then
        redis.call('HSET', job, 'status', 'failed', 'ended_at', ended_at)
        redis.call('EXPIRE', job, ttl)
      end
    end
  end
end
return {'taken_off'}
