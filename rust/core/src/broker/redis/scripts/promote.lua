-- Puts messages that are due into their list. KEYS: lists with a delayed set, the delayed set, the list.
-- ARGV: now, the most to move, the list's name in KEYS[1].
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, message in ipairs(due) do
  redis.call('LPUSH', KEYS[3], message)
  redis.call('ZREM', KEYS[2], message)
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if first[2] then
  redis.call('ZADD', KEYS[1], first[2], ARGV[3])
else
  redis.call('ZREM', KEYS[1], ARGV[3])
end
return #due
