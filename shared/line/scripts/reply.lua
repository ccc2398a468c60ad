-- Tells Redis what was decided: status, result, registries, counts; then who waits is told. The message, which has each
-- job's id and its result, is one argument: a thousand would each be read, copied and handed to Lua for themselves.
-- Removes exactly its own ids from in-flight, and does nothing under an outdated token.
local in_flight, token_key, suspects, alone, started, finished, failed = unpack(KEYS, 1, 7)
local decided, arrivals, counters, metrics = unpack(KEYS, 8, 11)
local token, worker_name, ended_at, now, ttl, kept_max = unpack(ARGV, 1, 6)
local rate, channel, job_prefix, result_prefix, suffix, undecided_prefix, undecided_before = unpack(ARGV, 7, 13)
local job_count, failed_count, event_count = tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])
local failure_text, counted, instance, message = ARGV[17], tonumber(ARGV[18]), ARGV[19], ARGV[20]

if redis.call('GET', token_key) ~= token then return {'outdated'} end

-- Reads that fail when a key has the wrong type: after the first write it would be too late.
for _, key in ipairs({started, finished, failed}) do redis.call('ZCARD', key) end
for _, key in ipairs({decided, arrivals, counters}) do redis.call('HLEN', key) end

local ids, results, first = {}, {}, 1
for index = 1, job_count do
  local comma = string.find(message, ',', first, true)
  local next_comma = string.find(message, ',', comma + 1, true) or 0
  ids[index], results[index] = string.sub(message, first, comma - 1), string.sub(message, comma + 1, next_comma - 1)
  first = next_comma + 1
end

-- Out of flight first: it frees memory, so that everything after it is allowed at maxmemory. A batch as it was
-- taken is the head of the list and leaves it in one call.
local removed = 0
local head = redis.call('LRANGE', in_flight, 0, job_count - 1)
if table.concat(head, ',') == table.concat(ids, ',') then
  redis.call('LPOP', in_flight, job_count)
  removed = job_count
else
  for _, id in ipairs(ids) do removed = removed + redis.call('LREM', in_flight, 1, id) end
end

-- As text, which a call takes as it is. Keys go by this server's clock: one call a batch, where EXPIRE would look up
-- the time for each key and write it down as this call anyway.
local expires = string.format('%.0f', now + ttl)
local gone_ms = string.format('%.0f', (redis.call('TIME')[1] + ttl) * 1000)
local ended, good, bad, is_failed = {}, {}, {}, {}
for index = 21 + job_count, 20 + job_count + failed_count do is_failed[ARGV[index]] = true end
for index = 1, job_count do
  local id, result, user = ids[index], results[index], ARGV[20 + index]
  local status = is_failed[id] and 'failed' or 'finished'
  local key = job_prefix .. id
  ended[#ended + 1] = id .. suffix
  if user ~= '' and redis.call('ZREM', undecided_prefix .. string.format('%d', user / 16), id) == 0 then
    redis.call('SREM', string.format(undecided_before, user), id)
  end
  -- How many of the two fields are new says what was there: one for a job that was undecided, both for what is no job
  -- any more, none for one that was replied before, unless RQ's tools have put it in again; an error for a damaged one.
  local added = redis.pcall('HSET', key, 'status', status, 'ended_at', ended_at)
  if added == 2 then redis.call('DEL', key) end
  if added == 1 or (added == 0 and not redis.call('ZSCORE', finished, id) and not redis.call('ZSCORE', failed, id)) then
    local stream = result_prefix .. id
    redis.call('PEXPIREAT', key, gone_ms)
    local registry = good
    if status == 'failed' then
      registry = bad
      redis.call('XADD', stream, '*', 'type', '2', 'worker_name', worker_name, 'return_value', result,
        'exc_string', failure_text)
    else
      redis.call('XADD', stream, '*', 'type', '1', 'worker_name', worker_name, 'return_value', result)
    end
    redis.call('PEXPIREAT', stream, gone_ms)
    registry[#registry + 1] = expires
    registry[#registry + 1] = id
  end
  -- One call for many, because a call costs more than what it does; Lua's unpack ends at 8,000 values.
  if #ended == 1000 or index == job_count then
    redis.call('ZREM', started, unpack(ended))
    if #good > 0 then redis.call('ZADD', finished, unpack(good)) end
    if #bad > 0 then redis.call('ZADD', failed, unpack(bad)) end
    ended, good, bad = {}, {}, {}
  end
end

local position = 21 + job_count + failed_count
for _ = 1, event_count do
  local event_id, last_arrival, last_given = unpack(ARGV, position, position + 2)
  position = position + 3
  if tonumber(redis.call('HGET', decided, event_id) or 0) < tonumber(last_arrival) then
    redis.call('HSET', decided, event_id, last_arrival)
  end
  -- Behind the ledger: raised. Ahead of it, because numbers were lost, and nobody waits with a later one: set back,
  -- or every place told from now on would be too far behind.
  local given = tonumber(redis.call('HGET', arrivals, event_id) or 0)
  if given < tonumber(last_arrival) or (given == tonumber(last_given) and last_given ~= last_arrival) then
    redis.call('HSET', arrivals, event_id, last_arrival)
  end
end
redis.call('HINCRBY', counters, 'decided', removed)
if rate ~= '' then redis.call('HSET', counters, 'rate', rate) end

-- Each decision once: a repeated reply takes nothing out of flight. Figures never fail a reply, whatever somebody
-- made of their key: pcall.
if removed == job_count then
  for _ = 1, counted do
    local name, increment = ARGV[position], ARGV[position + 1]
    position = position + 2
    redis.pcall(string.find(increment, '.', 1, true) and 'HINCRBYFLOAT' or 'HINCRBY', metrics, name, increment)
  end
end

for _, registry in ipairs({finished, failed}) do
  redis.call('ZREMRANGEBYSCORE', registry, '-inf', now)
  local excess = redis.call('ZCARD', registry) - tonumber(kept_max)
  if excess > 0 then
    local gone, surplus = {}, redis.call('ZRANGE', registry, 0, excess - 1)
    for index, id in ipairs(surplus) do
      gone[#gone + 1] = job_prefix .. id
      gone[#gone + 1] = result_prefix .. id
      if #gone == 2000 or index == #surplus then
        redis.call('DEL', unpack(gone))
        gone = {}
      end
    end
    redis.call('ZREMRANGEBYRANK', registry, 0, excess - 1)
  end
end
redis.call('DEL', suspects, alone)
-- Who took ahead has its next batch in hand: should it end now, it ended with that.
if instance ~= '' and redis.call('EXISTS', in_flight) == 1 then redis.call('SADD', suspects, instance) end
redis.call('PUBLISH', channel, message)
return {'replied', removed}
