-- Whose tokens are revoked: the places of those who ask by the two subjects of theirs, from 0. Reads only.
local found_installation = redis.call('GET', KEYS[1])
if not found_installation then return {'uninitialised'} end
if found_installation ~= ARGV[1] then return {'foreign'} end

local answer = {'answered'}
-- Nearly always nobody's: one call says so of all.
if #KEYS > 1 and redis.call('EXISTS', unpack(KEYS, 2)) > 0 then
  for first = 2, #KEYS, 2 do
    if redis.call('EXISTS', KEYS[first], KEYS[first + 1]) > 0 then answer[#answer + 1] = first / 2 - 1 end
  end
end
return answer
