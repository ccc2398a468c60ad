-- Puts requests back into the line that nobody has decided: each is `queued` again, with its payload and its mark.
-- `front`: before everything that waits, in the order given. `place`: each behind the last one with a lower `seq`.
-- The first writes take away, so that a full Redis allows them.
local token_key, queue, in_flight, started, finished, failed, lost, suspects, alone = unpack(KEYS, 1, 9)
local token, mode, suffix, job_prefix, result_prefix = unpack(ARGV, 1, 5)
if redis.call('GET', token_key) ~= token then return {'outdated'} end
-- Reads that fail when a key has the wrong type: after the first write it would be too late.
for _, key in ipairs({queue, in_flight, lost}) do redis.call('LLEN', key) end
for _, key in ipairs({started, finished, failed}) do redis.call('ZCARD', key) end

local function sequence(id)
  local found = redis.pcall('HGET', job_prefix .. id, 'seq')
  return type(found) == 'string' and tonumber(found) or 0
end

-- From the tail: what is put in its place is mostly newer than what waits, or the line is empty.
local function put_in_place(id)
  local own, last = sequence(id), -1
  while true do
    local others = redis.call('LRANGE', queue, last - 999, last)
    if #others == 0 then return redis.call('LPUSH', queue, id) end
    for index = #others, 1, -1 do
      if sequence(others[index]) < own then return redis.call('LINSERT', queue, 'AFTER', others[index], id) end
    end
    last = last - 1000
  end
end

redis.call('DEL', suspects, alone)
local ids = {}
for index = 6, #ARGV do
  local id = ARGV[index]
  local job = job_prefix .. id
  -- It may have expired since it was looked at.
  if redis.pcall('HEXISTS', job, 'data') == 1 then
    redis.call('LREM', in_flight, 0, id)
    redis.call('LREM', lost, 0, id)
    redis.call('ZREM', started, id .. suffix)
    redis.call('ZREM', finished, id)
    redis.call('ZREM', failed, id)
    redis.call('DEL', result_prefix .. id)
    redis.call('HDEL', job, 'started_at', 'ended_at', 'worker_name')
    redis.call('HSET', job, 'status', 'queued')
    redis.call('PERSIST', job)
    if mode == 'place' then put_in_place(id) end
    ids[#ids + 1] = id
  end
end
if mode == 'front' then
  local reversed = {}
  for index = #ids, 1, -1 do
    reversed[#reversed + 1] = ids[index]
    if #reversed == 1000 or index == 1 then  -- Lua's unpack ends at 8,000 values
      redis.call('LPUSH', queue, unpack(reversed))
      reversed = {}
    end
  end
end
return {'put_back', #ids}
