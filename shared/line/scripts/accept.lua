-- Takes a request into the line, or says why not. Safe to send twice.
-- Scripts have no rollback: everything that may fail (limits, wrong types) is read before the first write, and
-- the first write is one that maxmemory refuses.
local installation, revoked_family, revoked_user, idempotency, idempotency_before = unpack(KEYS, 1, 5)
local rate, undecided, arrivals, decided, counters, queue, job, bell = unpack(KEYS, 6, 13)
local want_installation, record, job_id, event_id, data, version, origin = unpack(ARGV, 1, 7)
local limited, door, opens_us, closes_us, base_arrival = unpack(ARGV, 8, 12)
local event_max, partition_max, user_max = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
local per_second, burst, idempotency_ttl = tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18])
local counted, user = ARGV[19], ARGV[20]

local found_installation = redis.call('GET', installation)
if not found_installation then return {'uninitialised'} end
if found_installation ~= want_installation then return {'foreign'} end
-- Asked for together, because a call costs more than what it does; told apart when there is something.
local met = redis.call('EXISTS', revoked_family, revoked_user, job) > 0
if met and redis.call('EXISTS', revoked_family, revoked_user) > 0 then return {'revoked'} end

-- A replay comes before every refusal: whoever was accepted stays accepted.
if record ~= '' then
  local fingerprint = string.sub(record, 1, 16)
  local known = redis.call('GET', idempotency)
  if known then
    if string.sub(known, 1, 16) ~= fingerprint then return {'conflict'} end
    return {'known', string.sub(known, 17)}
  end
  -- The release before wrote both as text: 64 hexadecimal digits, a colon, the job id.
  known = redis.call('GET', idempotency_before)
  if known then
    local digits = string.gsub(fingerprint, '.', function(byte) return string.format('%02x', string.byte(byte)) end)
    if string.sub(known, 1, 32) ~= digits then return {'conflict'} end
    return {'replay', string.sub(known, 66)}
  end
end
if met then return {'replay', job_id} end

local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- The bucket is one number, the instant at which it is full again: each request moves it by what a token takes.
local full_us
if per_second > 0 then
  local token_us = 1000000 / per_second
  full_us = math.max(now_us, tonumber(redis.call('GET', rate) or 0))
  -- Later than an empty bucket is full: the clock was set back, and until it is there again nothing would be refilled.
  if full_us > now_us + burst * token_us + 1000000 then full_us = now_us end
  full_us = full_us + token_us
  local late_us = full_us - burst * token_us - now_us
  if late_us > 0 then return {'rate_limited', math.ceil(late_us / 1000000)} end
end

-- What is about the tickets yields to a sale that is not open: the same order as the worker's rules.
local about_tickets = door == 'sold_out' or door == 'too_many_tickets'
if door ~= '' and not about_tickets then return {'door', door} end
if opens_us ~= '' and now_us < tonumber(opens_us) then return {'door', 'sales_not_open'} end
if closes_us ~= '' and now_us >= tonumber(closes_us) then return {'door', 'sales_closed'} end
if about_tickets then return {'door', door} end

-- A counter that is missing or behind what PostgreSQL has decided starts from there.
local base = tonumber(base_arrival)
local last_arrival = math.max(tonumber(redis.call('HGET', arrivals, event_id) or 0), base)
local known_decided = tonumber(redis.call('HGET', decided, event_id) or 0)
local last_decided = math.max(known_decided, base)
local running = redis.call('HMGET', counters, 'accepted', 'decided', 'rate')
local depth = redis.call('LLEN', queue)
local bell_rung = redis.call('LLEN', bell)
local mine = redis.call('ZCOUNT', undecided, user, user)
if limited == '1' then
  if last_arrival - last_decided >= event_max then return {'line_full', 'event'} end
  if depth >= partition_max then return {'line_full', 'partition'} end
  if mine >= user_max then return {'too_many_undecided', mine} end
end

-- days → civil date (Howard Hinnant's algorithm); Redis' Lua has no os.date
local seconds = tonumber(time[1])
local days = math.floor(seconds / 86400)
local z = days + 719468
local era = math.floor(z / 146097)
local doe = z - era * 146097
local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
local mp = math.floor((5 * doy + 2) / 153)
local day = doy - math.floor((153 * mp + 2) / 5) + 1
local month = mp < 10 and mp + 3 or mp - 9
local year = yoe + era * 400 + (month <= 2 and 1 or 0)
local rest = seconds - days * 86400
local accepted_at = string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day,
  math.floor(rest / 3600), math.floor(rest % 3600 / 60), rest % 60, tonumber(time[2]))

local arrival = string.format('%.0f', last_arrival + 1)
local sequence = tonumber(running[1] or 0) + 1
local ahead = math.max(0, sequence - 1 - tonumber(running[2] or 0))
local seq = string.format('%.0f', sequence)
redis.call('HSET', job, 'status', 'queued', 'data', data, 'origin', origin, 'created_at', accepted_at,
  'enqueued_at', accepted_at, 'description', 'booking', 'v', version, 'arrival', arrival, 'seq', seq)
if record ~= '' then redis.call('SET', idempotency, record, 'EX', idempotency_ttl) end
if full_us then
  redis.call('SET', rate, string.format('%.0f', full_us), 'PX', string.format('%.0f', burst / per_second * 1000 + 1000))
end
if counted == '1' then redis.call('ZADD', undecided, user, job_id) end
redis.call('HSET', arrivals, event_id, arrival)
-- or the place would be wrong for who asks later, or comes with an older snapshot
if last_decided > known_decided then redis.call('HSET', decided, event_id, string.format('%.0f', last_decided)) end
redis.call('HSET', counters, 'accepted', seq)
redis.call('RPUSH', queue, job_id)
if depth == 0 and bell_rung == 0 then redis.call('RPUSH', bell, '1') end
return {'accepted', arrival, string.format('%.0f', last_arrival + 1 - last_decided), string.format('%.0f', ahead),
  running[3] or '', accepted_at}
