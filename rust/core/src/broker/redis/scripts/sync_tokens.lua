-- Makes what the server knows of a session's tokens what the session knows. KEYS: the keys of the session. ARGV: the
-- session, what stands before a key in the name of its holders; then of each key it holds: the key, how many.
local held = {}
for at = 3, #ARGV, 2 do held[ARGV[at]] = ARGV[at + 1] end
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if held[key] then
    redis.call('HSET', ARGV[2] .. key, ARGV[1], held[key])
  else
    redis.call('HDEL', ARGV[2] .. key, ARGV[1])
  end
end
