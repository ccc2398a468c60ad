-- Sets a partition's counters to what its ledgers and its line say. What they have to be is known for the first so
-- many of the queue; whoever was accepted since then stands behind those, and is counted here.
-- Answers which were wrong: 1 or 0 for the running numbers, and events.
local token_key, queue, arrivals, decided, counters, started = unpack(KEYS, 1, 6)
local token, job_prefix = ARGV[1], ARGV[2]
local known, accepted_total, decided_total = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local event_count, ghost_count = tonumber(ARGV[6]), tonumber(ARGV[7])
if redis.call('GET', token_key) ~= token then return {'outdated'} end
if redis.call('LLEN', queue) < known then return {'moved'} end
redis.call('ZCARD', started)
for _, key in ipairs({arrivals, decided, counters}) do redis.call('HLEN', key) end

local newest, since = {}, redis.call('LRANGE', queue, known, -1)
for _, id in ipairs(since) do
  local fields = redis.call('HMGET', job_prefix .. id, 'data', 'arrival')
  local ok, data = pcall(cjson.decode, fields[1])
  if ok then newest[string.format('%.0f', data[4]['event_id'])] = tonumber(fields[2]) end
end

-- Away first: a full Redis allows that, and then the rest.
local position = 8
for _ = 1, ghost_count do
  redis.call('ZREM', started, ARGV[position])
  position = position + 1
end
local wrong = {}
local function set(key, field, value)
  local found = redis.call('HGET', key, field)
  if found == value or (not found and (value == '' or value == '0')) then return false end
  redis.call('HDEL', key, field)
  if value ~= '' then redis.call('HSET', key, field, value) end
  return true
end
for _ = 1, event_count do
  local event_id, given, last = unpack(ARGV, position, position + 2)
  position = position + 3
  if (newest[event_id] or 0) > (tonumber(given) or 0) then given = string.format('%.0f', newest[event_id]) end
  local given_wrong, last_wrong = set(arrivals, event_id, given), set(decided, event_id, last)
  if given_wrong or last_wrong then wrong[#wrong + 1] = event_id end
end
local total_wrong = set(counters, 'accepted', string.format('%.0f', accepted_total + #since))
total_wrong = set(counters, 'decided', decided_total) or total_wrong
if total_wrong then
  for index, id in ipairs(since) do
    redis.call('HSET', job_prefix .. id, 'seq', string.format('%.0f', accepted_total + index))
  end
end
for index = position, #ARGV do redis.call('ZADD', started, '+inf', ARGV[index]) end
return {'set', total_wrong and 1 or 0, table.concat(wrong, ',')}
