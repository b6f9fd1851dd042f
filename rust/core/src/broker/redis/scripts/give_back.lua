-- Puts back what a session took from a list and has not settled, the newest first, so that the oldest is served next.
-- KEYS: what the session took, the list.
redis.call('LREM', KEYS[1], 0, '')
local count = 0
while redis.call('LMOVE', KEYS[1], KEYS[2], 'RIGHT', 'RIGHT') do
  count = count + 1
end
return count
