-- Makes a user's undecided jobs those that wait: takes away the first ids, adds those of the rest that still wait.
-- The second key is the set in which the release before kept them.
local undecided, undecided_before = KEYS[1], KEYS[2]
local job_prefix, user, away = ARGV[1], ARGV[2], tonumber(ARGV[3])
for index = 4, 3 + away do
  redis.call('ZREM', undecided, ARGV[index])
  redis.call('SREM', undecided_before, ARGV[index])
end
for index = 4 + away, #ARGV do
  local status = redis.pcall('HGET', job_prefix .. ARGV[index], 'status')
  if status == 'queued' or status == 'started' then redis.call('ZADD', undecided, user, ARGV[index]) end
end
return {'counted'}
