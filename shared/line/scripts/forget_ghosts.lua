-- Removes from a user's undecided jobs those that are in no line any more: set aside as lost, or evicted.
local undecided, job_prefix, user = KEYS[1], ARGV[1], ARGV[2]
local removed = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', undecided, user, user)) do
  local status = redis.pcall('HGET', job_prefix .. id, 'status')  -- a damaged one is an error, hence in no line
  if status ~= 'queued' and status ~= 'started' then
    removed = removed + redis.call('ZREM', undecided, id)
  end
end
return removed
