-- Writes the claimer's fencing token, which must be newer than the last one. DEL first: never refused.
local token_key, installation = KEYS[1], KEYS[2]
local found = redis.call('GET', installation)
if not found then return {'uninitialised'} end
if found ~= ARGV[2] then return {'foreign'} end
local current = tonumber(redis.call('GET', token_key) or 0)
if current >= tonumber(ARGV[1]) then return {'outdated', string.format('%.0f', current)} end
redis.call('DEL', token_key)
redis.call('SET', token_key, ARGV[1])
return {'claimed'}
