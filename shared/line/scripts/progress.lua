-- Part of a request is done and committed: whoever died with it in hand before did not die of it.
local token_key, suspects, alone = KEYS[1], KEYS[2], KEYS[3]
if redis.call('GET', token_key) ~= ARGV[1] then return {'outdated'} end
redis.call('DEL', suspects, alone)
return {'noted'}
