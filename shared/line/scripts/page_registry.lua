-- A page of one of RQ's registries, the newest first, from behind a place. Reads only.
-- The place is (score, id) and not a rank: what is added, cleaned or expires moves ranks, not places.
local registry = KEYS[1]
local after, after_id, limit, budget = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local event, job_prefix, now, chunk = ARGV[5], ARGV[6], tonumber(ARGV[7]), 100
local names = {}
for index = 8, #ARGV do names[#names + 1] = ARGV[index] end
local length = redis.call('ZCARD', registry)

local low, high = 0, after and length or 0
while low < high do
  local middle = math.floor((low + high) / 2)
  local found = redis.call('ZREVRANGE', registry, middle, middle, 'WITHSCORES')
  local score = tonumber(found[2])
  if score > after or (score == after and found[1] >= after_id) then low = middle + 1 else high = middle end
end

local entries, scanned, index, last_score, last_id = {}, 0, low, '', ''
while index < length and #entries < limit and scanned < budget do
  local found = redis.call('ZREVRANGE', registry, index, index + math.min(chunk, budget - scanned) - 1, 'WITHSCORES')
  for position = 1, #found, 2 do
    local id, score = found[position], found[position + 1]
    -- What has expired stands last, until the next reply.
    if tonumber(score) <= now then
      index = length
      break
    end
    local fields = redis.pcall('HMGET', job_prefix .. id, unpack(names))
    if fields['err'] then
      fields = {}
      for place = 1, #names do fields[place] = false end
    end
    index, scanned, last_score, last_id = index + 1, scanned + 1, score, id
    if event == '' or (fields[1] and string.find(fields[1], event)) then
      entries[#entries + 1] = {id, score, unpack(fields, 1, #names)}
      if #entries == limit then break end
    end
  end
end
return {entries, last_score, last_id, index < length and 1 or 0, scanned}
