-- Takes tokens back and calls as many of those in line. KEYS: who holds how many, the line, the keys of the session.
-- ARGV: the session, the key, how many, what stands before a session's name in the name of its channel.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
if redis.call('HINCRBY', KEYS[1], ARGV[1], -ARGV[3]) <= 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
  if not redis.call('LPOS', KEYS[2], ARGV[1]) then redis.call('SREM', KEYS[3], ARGV[2]) end
end
for _, other in ipairs(redis.call('LRANGE', KEYS[2], 0, ARGV[3] - 1)) do
  redis.call('PUBLISH', ARGV[4] .. other, ARGV[2])
end
return 1
