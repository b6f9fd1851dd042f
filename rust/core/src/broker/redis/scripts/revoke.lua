-- Calls tasks off: writes each demand into the record and tells those who listen, in a notice that begins with its
-- number. KEYS: the record, the number of the last notice. ARGV: the channel, how
-- many are kept, 1 to tell of all or 0 to tell of what was not known, then for each its milliseconds and itself.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local told = {}
for place = 4, #ARGV, 2 do
  local ends = string.format('%.0f', now + ARGV[place])
  local new = redis.call('ZADD', KEYS[1], 'GT', ends, ARGV[place + 1])
  if new == 1 or ARGV[3] == '1' then told[#told + 1] = ends .. ' ' .. ARGV[place + 1] end
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[2] - 1)
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last[2])) end
if #told > 0 then
  table.insert(told, 1, '# ' .. redis.call('INCR', KEYS[2]))
  redis.call('PUBLISH', ARGV[1], table.concat(told, '\n'))
end
return #told
