-- Takes a session for dead: from here on its worker settles nothing. KEYS: workers, reaping, the session's hash, the
-- dead session's hash. ARGV: the session, now, until when its reaper may take, 1 if its process is known to be gone.
-- Returns the dead session's hash, or nothing when it is not dead or another reaper has it.
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if lease then
  if ARGV[4] ~= '1' and tonumber(lease) >= tonumber(ARGV[2]) then return false end
  redis.call('ZREM', KEYS[1], ARGV[1])
  if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('RENAME', KEYS[3], KEYS[4]) end
else
  local taken = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if not taken or tonumber(taken) >= tonumber(ARGV[2]) then return false end
end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return redis.call('HGETALL', KEYS[4])
