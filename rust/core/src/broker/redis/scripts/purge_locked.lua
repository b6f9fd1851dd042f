-- Deletes messages, with the locks they hold. KEYS: a list, or a sorted set, that nobody else uses. ARGV: how many, the
-- prefix of locks. Returns how many there were.
local kind = redis.call('TYPE', KEYS[1]).ok
local gone = {}
if kind == 'list' then
  gone = redis.call('LPOP', KEYS[1], ARGV[1])
elseif kind == 'zset' then
  for place, part in ipairs(redis.call('ZPOPMIN', KEYS[1], ARGV[1])) do
    if place % 2 == 1 then gone[#gone + 1] = part end
  end
end
for _, message in ipairs(gone) do
  if string.find(message, '"x-fastq-unique-key"', 1, true) then
    local is_json, envelope = pcall(cjson.decode, message)
    local headers = is_json and type(envelope) == 'table' and envelope.headers
    if type(headers) == 'table' and type(headers['x-fastq-unique-key']) == 'string' then
      local lock = ARGV[2] .. headers['x-fastq-unique-key']
      if redis.call('GET', lock) == headers.id then redis.call('DEL', lock) end
    end
  end
end
return #gone
