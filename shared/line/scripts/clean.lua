-- Removes decided jobs that stand in one of RQ's registries, from rank `start` on, the oldest first: hash, result and
-- entry. What is not decided stays, whatever the registry says. Every write frees memory, so a full Redis allows it.
local registry, started, installation = KEYS[1], KEYS[2], KEYS[3]
local want_installation, status, cutoff, start, maximum = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local chunk, dry_run, job_prefix, result_prefix, suffix = tonumber(ARGV[6]), ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local found_installation = redis.call('GET', installation)
if not found_installation then return {'uninitialised'} end
if found_installation ~= want_installation then return {'foreign'} end
-- A read that fails when the key has the wrong type: after the first write it would be too late.
redis.call('ZCARD', started)

local going, young, examined = {}, 0, 0
for _, id in ipairs(redis.call('ZRANGE', registry, start, start + chunk - 1)) do
  if #going == maximum then break end
  examined = examined + 1
  local fields = redis.pcall('HMGET', job_prefix .. id, 'status', 'ended_at')
  local in_flight = redis.call('ZSCORE', started, id .. suffix)
  if not fields['err'] and not in_flight then
    if not fields[1] then
      going[#going + 1] = id  -- its job has expired: only the entry is left
    elseif fields[1] == status then
      -- Equal lengths and UTC: instants as text are in the order of time. Without a cutoff any age will do.
      if cutoff == '' or (fields[2] and fields[2] <= cutoff) then going[#going + 1] = id else young = young + 1 end
    end
  end
end
if dry_run ~= '1' and #going > 0 then
  local names = {}
  for _, id in ipairs(going) do
    names[#names + 1] = job_prefix .. id
    names[#names + 1] = result_prefix .. id
  end
  redis.call('DEL', unpack(names))
  redis.call('ZREM', registry, unpack(going))
end
return {'cleaned', #going, young, examined}
