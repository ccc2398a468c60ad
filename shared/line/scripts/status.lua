-- Jobs as the line knows them, each with what its place and its wait are computed from: `found` and its fields, or
-- `revoked`, or `absent`. Reads only.
local installation = KEYS[1]
local want_installation, line_prefix = ARGV[1], ARGV[2]

local found_installation = redis.call('GET', installation)
if not found_installation then return {'uninitialised'} end
if found_installation ~= want_installation then return {'foreign'} end

local function result_of(stream)
  local entries = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  local value = ''
  if entries[1] then
    local pairs_ = entries[1][2]
    for index = 1, #pairs_, 2 do
      if pairs_[index] == 'return_value' then value = pairs_[index + 1] end
    end
  end
  return value
end

-- Those who are looked up together nearly always stand in few lines, and for few events.
local known_counters, known_decided = {}, {}
local function counters_of(partition)
  if not known_counters[partition] then
    known_counters[partition] = redis.call('HMGET', line_prefix .. partition .. ':counters', 'decided', 'rate')
  end
  return known_counters[partition]
end
local function decided_of(partition, event_id)
  local name = partition .. ':' .. event_id
  if not known_decided[name] then
    known_decided[name] = tonumber(redis.call('HGET', line_prefix .. partition .. ':decided', event_id) or 0)
  end
  return known_decided[name]
end

local function look(revoked_family, revoked_user, job, result)
  if revoked_family ~= '' and redis.call('EXISTS', revoked_family, revoked_user) > 0 then return {'revoked'} end
  local fields = redis.call('HMGET', job, 'status', 'data', 'enqueued_at', 'arrival', 'seq', 'withdrawn', 'origin')
  if not fields[2] or not fields[7] then return {'absent'} end
  local answer = {'found', fields[1], fields[2], fields[3], fields[4], fields[6] or ''}
  if fields[1] == 'finished' or fields[1] == 'failed' then
    answer[7] = result_of(result)
    return answer
  end
  -- A hash that somebody damaged is a job that nobody knows: the worker will set it aside.
  local partition, arrival, seq = string.match(fields[7], '(%d+)$'), tonumber(fields[4]), tonumber(fields[5])
  -- Found in the text, which is a fifth of the time of reading it; whether it is one of ours the caller finds out.
  local event_id = string.match(fields[2], '"event_id":%s*(%d+)')
  if not (partition and arrival and seq and event_id) then return {'absent'} end
  local running = counters_of(partition)
  local decided = decided_of(partition, event_id)
  answer[7] = ''
  answer[8] = string.format('%.0f', math.max(1, arrival - decided))
  answer[9] = string.format('%.0f', math.max(0, seq - 1 - tonumber(running[1] or 0)))
  answer[10] = running[2] or ''
  return answer
end

local answers = {'answered'}
for first = 2, #KEYS, 4 do
  answers[#answers + 1] = look(unpack(KEYS, first, first + 3))
end
return answers
