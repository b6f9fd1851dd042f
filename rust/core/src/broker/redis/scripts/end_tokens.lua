-- Takes back what a session holds and is in line for. KEYS: the keys of the session. ARGV: the session; what stands
-- before a key in the names of its holders and of its line; what stands before a session's name in that of its channel.
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  redis.call('HDEL', ARGV[2] .. key, ARGV[1])
  redis.call('LREM', ARGV[3] .. key, 0, ARGV[1])
  for _, other in ipairs(redis.call('LRANGE', ARGV[3] .. key, 0, -1)) do
    redis.call('PUBLISH', ARGV[4] .. other, key)
  end
end
return redis.call('DEL', KEYS[1])
