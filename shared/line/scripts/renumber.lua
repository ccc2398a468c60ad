-- Gives waiting jobs their running numbers in the partition, from which the wait is told.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'outdated'} end
local job_prefix = ARGV[2]
for index = 3, #ARGV, 2 do
  local job = job_prefix .. ARGV[index]
  if redis.call('HDEL', job, 'seq') == 1 or redis.call('EXISTS', job) == 1 then
    redis.call('HSET', job, 'seq', ARGV[index + 1])
  end
end
return {'renumbered'}
