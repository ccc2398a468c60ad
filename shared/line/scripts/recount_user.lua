-- Makes a user's undecided jobs those that wait: takes away the first ids, adds those of the rest that still wait.
local undecided, job_prefix, away = KEYS[1], ARGV[1], tonumber(ARGV[2])
for index = 3, 2 + away do redis.call('SREM', undecided, ARGV[index]) end
for index = 3 + away, #ARGV do
  local status = redis.pcall('HGET', job_prefix .. ARGV[index], 'status')
  if status == 'queued' or status == 'started' then redis.call('SADD', undecided, ARGV[index]) end
end
return {'counted'}
