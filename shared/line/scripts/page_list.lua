-- A page of a partition's queue, or of what is in flight, from behind a running number. Reads only.
-- Not by offsets: the head of the queue leaves while somebody turns the pages. `seq` grows along the list, so the
-- place is found by halving. A job that cannot be read has none: `skip` says how many of those come after it.
local list = KEYS[1]
local after, skip, limit, budget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local event, job_prefix, chunk = ARGV[5], ARGV[6], 100
local length = redis.call('LLEN', list)

local function sequence_of(id)
  local found = redis.pcall('HGET', job_prefix .. id, 'seq')
  return type(found) == 'string' and tonumber(found) or nil
end

-- Before `low` everything is at or before the place, from `high` on everything behind it. The first page begins at the
-- head: there is nothing to find.
local low, high, last = 0, after > 0 and length or 0, nil
while low < high do
  local middle = math.floor((low + high) / 2)
  local probe, found = middle, nil
  while probe < high and not found do
    -- Nearly always the first one can be read, and a hundred cost a hundred times as much.
    local stop = probe == middle and probe or math.min(probe + chunk, high) - 1
    for _, id in ipairs(redis.call('LRANGE', list, probe, stop)) do
      found = sequence_of(id)
      probe = probe + 1
      if found then break end
    end
  end
  if found and found <= after then
    low, last = probe, found
  else
    high = middle
  end
end
-- What came after the place was shown, unless the head has passed it.
if last == after or (not last and after == 0) then low = math.min(low + skip, length) else skip = 0 end

local entries, scanned, index = {}, 0, low
while index < length and #entries < limit and scanned < budget do
  local ids = redis.call('LRANGE', list, index, index + math.min(chunk, budget - scanned) - 1)
  for _, id in ipairs(ids) do
    local fields = redis.pcall('HMGET', job_prefix .. id, 'data', 'enqueued_at', 'arrival', 'status', 'withdrawn', 'seq')
    if fields['err'] then fields = {false, false, false, false, false, false} end
    local sequence = fields[6] and tonumber(fields[6])
    if sequence and sequence > after then after, skip = sequence, 0 else skip = skip + 1 end
    index, scanned = index + 1, scanned + 1
    if event == '' or (fields[1] and string.find(fields[1], event)) then
      entries[#entries + 1] = {id, fields[1], fields[2], fields[3], fields[4], fields[5]}
      if #entries == limit then break end
    end
  end
end
return {entries, string.format('%.0f', after), skip, index < length and 1 or 0, scanned}
