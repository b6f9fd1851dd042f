-- Puts back one message that a dead consumer of kombu's holds. KEYS: unacked, its index, the lists it goes to.
-- ARGV: the delivery tag, the message.
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
for place = 3, #KEYS do
  redis.call('RPUSH', KEYS[place], ARGV[2])
end
return 1
