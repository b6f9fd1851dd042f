-- Records parts of one chord, each member once, as Celery does, and claims its release when it is complete.
-- KEYS: size, parts, added, seen, claim, record, chords by the moment of the last look, the saved group,
--       the internal queue's list, the same's dead letters.
-- ARGV: the group, 1 if parts are ordered, seconds that parts live (0: for ever), now in milliseconds, the signature
--       of the body (empty: the record has it), the release message (empty: whoever asks sends it), the same as a
--       dead letter, then of each part: task, place, document.
-- Returns 1 when the chord is complete and the caller has claimed its release: once, or where whoever asks sends the
-- message, each time.
local size, parts, added, seen, claim, record = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local group, ordered, expires, now = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3]), ARGV[4]
if redis.call('GET', claim) == 'done' then return 0 end
local last = ''
for at = 8, #ARGV, 3 do
  local task, place, document = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  last = task
  if redis.call('SADD', seen, task .. ':' .. place) == 1 then
    if ordered then
      redis.call('ZADD', parts, place, document)
    else
      redis.call('RPUSH', parts, document)
    end
  end
end
if ARGV[5] ~= '' and redis.call('HSETNX', record, 'callback', ARGV[5]) == 1 then
  -- A chord of Celery's: known from here on.
  redis.call('HSETNX', record, 'progress_at', now)
  redis.call('ZADD', KEYS[7], 'NX', now, group)
end
if expires > 0 then
  for place = 1, 6 do
    if place ~= 5 then redis.call('EXPIRE', KEYS[place], expires) end
  end
  redis.call('EXPIRE', KEYS[8], expires)
end
local wanted = redis.call('GET', size)
if not wanted then return 0 end
local count = ordered and redis.call('ZCARD', parts) or redis.call('LLEN', parts)
-- Two members with one id, which a signature has that is used twice, may have one document.
count = math.max(count, redis.call('SCARD', seen))
if count ~= tonumber(wanted) + tonumber(redis.call('GET', added) or 0) then return 0 end
local mine
if expires > 0 then
  mine = redis.call('SET', claim, 'fastq', 'NX', 'EX', expires)
else
  mine = redis.call('SET', claim, 'fastq', 'NX')
end
if ARGV[6] == '' then
  if not mine and redis.call('GET', claim) ~= 'fastq' then return 0 end
elseif not mine then
  return 0
end
redis.call('HSET', record, 'last', last, 'released_at', now)
redis.call('ZADD', KEYS[7], 'NX', now, group)
if ARGV[6] ~= '' then
  local sent = redis.pcall('LPUSH', KEYS[9], ARGV[6])
  if type(sent) == 'table' and sent.err then redis.call('LPUSH', KEYS[10], ARGV[7]) end
end
return 1
