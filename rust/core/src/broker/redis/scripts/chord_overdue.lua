-- Looks at chords that were not looked at for a while. KEYS: chords by the moment of the last look.
-- ARGV: now, and the moments before which a look, a release and a member's end are long ago, in milliseconds; what
--       stands before a group in the names of Celery's keys, and of ours; 1 if parts are ordered.
-- Returns of each chord that does not get on: the group, the member that ended last, the signature of the body.
local now, look, release, member = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local late = {}
for _, group in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', look, 'LIMIT', 0, 100)) do
  local celery, record = ARGV[5] .. group, ARGV[6] .. group
  local claim, size = redis.call('GET', celery .. '.c'), redis.call('GET', celery .. '.s')
  if claim == 'done' or not size then
    -- It has ended, or expired. Where a Celery worker has ended it by an error nothing says so but its size, which is
    -- gone: what must follow that, Celery does not know of. The record stays as long as anything does: the body that a
    -- Celery worker has sent may not have run yet.
    redis.call('ZREM', KEYS[1], group)
    local known = redis.call('HMGET', record, 'body', 'callback')
    if claim ~= 'done' and (known[1] or known[2]) then
      late[#late + 1] = group
      late[#late + 1] = ''
      late[#late + 1] = known[2] or ''
    end
  else
    redis.call('ZADD', KEYS[1], now, group)
    local count = redis.call(ARGV[7] == '1' and 'ZCARD' or 'LLEN', celery .. '.j')
    count = math.max(count, redis.call('SCARD', celery .. '.d'))
    local found = redis.call('HMGET', record, 'seen', 'progress_at', 'released_at', 'last', 'callback')
    local progress = tonumber(found[2] or now)
    if tonumber(found[1] or 0) ~= count then
      progress = tonumber(now)
      redis.call('HSET', record, 'seen', count, 'progress_at', now)
    end
    local overdue
    if claim then
      overdue = tonumber(found[3] or progress) <= release
    else
      -- One that nobody has claimed though it is complete is a worker's of Celery 5.6, which claims nothing and calls
      -- the body just now; or which has died on the way there.
      local is_complete = count == tonumber(size) + tonumber(redis.call('GET', celery .. '.t') or 0)
      overdue = progress <= (is_complete and release or member)
    end
    if overdue then
      late[#late + 1] = group
      late[#late + 1] = found[4] or ''
      late[#late + 1] = found[5] or ''
    end
  end
end
return late
