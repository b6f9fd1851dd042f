-- Gives tokens of a key, first those in its line. KEYS: who holds how many, the line, the keys of the session, the
-- session. ARGV: the session, the key, how many there are, how many are wanted, what stands before a session's name in
-- that of its hash, and in that of its channel. Who leaves the line, or tokens, calls the next: whoever gave them back
-- may have called this session for each of them.
-- Returns how many; -1 when the session was taken for dead.
local session, most, wanted = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('EXISTS', KEYS[4]) == 0 then return -1 end
if wanted == 0 then
  redis.call('LREM', KEYS[2], 0, session)
  local first = redis.call('LINDEX', KEYS[2], 0)
  if first then redis.call('PUBLISH', ARGV[6] .. first, ARGV[2]) end
  if redis.call('HEXISTS', KEYS[1], session) == 0 then redis.call('SREM', KEYS[3], ARGV[2]) end
  return 0
end
local free, before = most, 0
for _, held in ipairs(redis.call('HVALS', KEYS[1])) do free = free - tonumber(held) end
local is_in_line = false
for _, other in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  if other == session then
    is_in_line = true
    break
  elseif redis.call('EXISTS', ARGV[5] .. other) == 1 then
    before = before + 1
  else
    redis.call('LREM', KEYS[2], 0, other)
  end
end
local count = math.max(0, math.min(wanted, free - before))
redis.call('SADD', KEYS[3], ARGV[2])
if count > 0 then redis.call('HINCRBY', KEYS[1], session, count) end
if count > 0 and is_in_line then redis.call('LREM', KEYS[2], 0, session) end
if count < wanted and (count > 0 or not is_in_line) then redis.call('RPUSH', KEYS[2], session) end
if is_in_line and count == wanted and free > count then
  for _, other in ipairs(redis.call('LRANGE', KEYS[2], before, free - count - 1)) do
    redis.call('PUBLISH', ARGV[6] .. other, ARGV[2])
  end
end
return count
