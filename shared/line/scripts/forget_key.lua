-- Forgets an Idempotency-Key that stands for a request nobody knows, unless it stands for another by now.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
