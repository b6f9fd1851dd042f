-- Makes a chord known. KEYS: size, parts, added, seen, claim, record, chords by the moment of the last look.
-- ARGV: the group, the size, the body, seconds to live (0: for ever), now in milliseconds.
if redis.call('GET', KEYS[5]) == 'done' then
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[6], 'body', ARGV[3])
redis.call('HSETNX', KEYS[6], 'progress_at', ARGV[5])
redis.call('ZADD', KEYS[7], 'NX', ARGV[5], ARGV[1])
if ARGV[4] ~= '0' then
  redis.call('EXPIRE', KEYS[1], ARGV[4])
  redis.call('EXPIRE', KEYS[6], ARGV[4])
end
