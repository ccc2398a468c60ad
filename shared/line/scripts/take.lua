-- Hands the holder its next batch: what is in flight, if anything is (recovery), else the head of the line. Who takes
-- ahead expects `behind` requests in flight, which are in its own hands, and gets what stands behind them; when there are
-- more or less of them, it is told which, and nothing is taken. Keys after the eighth are of other lines that the holder
-- serves, what waits and what is in flight: it is told whether there is any.
-- The first write frees memory, so that a Redis at maxmemory still drains.
local queue, in_flight, token_key, suspects, alone, bell, started, suspended = unpack(KEYS, 1, 8)
local token, maximum, instance, newest_version = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local worker_name, job_prefix, suffix, started_at = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local behind = tonumber(ARGV[9])

if redis.call('GET', token_key) ~= token then return {'outdated'} end
if redis.call('EXISTS', suspended) == 1 then return {'suspended'} end

-- Reads that fail when a key has the wrong type: an error after the first write would lose what was popped.
redis.call('ZCARD', started)
redis.call('SCARD', suspects)
local flying = redis.call('LLEN', in_flight)
if behind > 0 and flying ~= behind then return {'flying', redis.call('LRANGE', in_flight, 0, -1)} end
local recovered = behind == 0 and flying > 0
local ids
if recovered then ids = redis.call('LRANGE', in_flight, 0, -1) else ids = redis.call('LRANGE', queue, 0, maximum - 1) end

local jobs, count, decided = {}, 0, {}
for index, id in ipairs(ids) do
  local key = job_prefix .. id
  local fields = redis.pcall('HMGET', key, 'data', 'enqueued_at', 'arrival', 'withdrawn', 'v', 'status')
  if fields['err'] then fields = {false, false, false, false, false, false} end
  -- A payload newer than this worker stays where it is, and so does everything behind it.
  if fields[5] and (tonumber(fields[5]) or 0) > newest_version then break end
  count = index
  decided[index] = fields[6] == 'finished' or fields[6] == 'failed'
  fields[5], fields[6] = id, nil  -- what was read is what is told: a table of its own for each would take as long again
  jobs[index] = fields
end
if count == 0 then return {#ids > 0 and 'newer' or 'empty'} end

redis.call('DEL', bell)
if not recovered then
  redis.call('LPOP', queue, count)
  local moved, members = {}, {}
  for index = 1, count do
    local id = ids[index]
    -- Not of a decided one that somebody put in again: whoever was told its decision would read that it waits.
    if jobs[index][1] and not decided[index] then
      redis.call('HSET', job_prefix .. id, 'status', 'started', 'started_at', started_at, 'worker_name', worker_name)
    end
    moved[#moved + 1] = id
    members[#members + 1] = '+inf'
    members[#members + 1] = id .. suffix
    -- One call for many: a call costs more than what it does. Lua's unpack ends at 8,000 values.
    if #moved == 1000 or index == count then
      redis.call('RPUSH', in_flight, unpack(moved))
      redis.call('ZADD', started, unpack(members))
      moved, members = {}, {}
    end
  end
  redis.call('DEL', suspects, alone)
end
redis.call('SADD', suspects, instance)
local others = redis.call('SCARD', suspects) - 1
local others_wait = KEYS[9] and redis.call('EXISTS', unpack(KEYS, 9)) > 0
-- One after the other, not a table each: Redis sends what is nested piece by piece, with a system call for each.
local answer = {'taken', recovered and 1 or 0, others, redis.call('EXISTS', alone), others_wait and 1 or 0}
for index = 1, count do
  local fields, last = jobs[index], 5 * index
  answer[last + 1], answer[last + 2], answer[last + 3] = fields[1], fields[2], fields[3]
  answer[last + 4], answer[last + 5] = fields[4], fields[5]
end
return answer
