-- Ends a chord, unless it had ended, and carries out the commands that go with it.
-- KEYS: size, parts, added, seen, claim, record, chords by the moment of the last look, where dead letters go.
-- ARGV: the group, for how many seconds it is remembered, now in milliseconds, then of each command: how many words,
--       the words.
-- Returns 1 unless the chord had ended before.
if redis.call('GET', KEYS[5]) == 'done' then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6])
redis.call('SET', KEYS[5], 'done', 'EX', ARGV[2])
redis.call('ZREM', KEYS[7], ARGV[1])
local at = 4
while ARGV[at] do
  local words, last = {}, at + tonumber(ARGV[at])
  for word = at + 1, last do words[#words + 1] = ARGV[word] end
  local answer = redis.pcall(unpack(words))
  if type(answer) == 'table' and answer.err and words[1] == 'LPUSH' then
    for word = 3, #words do
      redis.call('LPUSH', KEYS[8], '{"id":"' .. ARGV[1] .. '-' .. at .. '-' .. word
        .. '","reason":"the key of its queue holds something else","buried_at":' .. ARGV[3]
        .. ',"deaths":0,"step":0,"message":' .. words[word] .. '}')
    end
  end
  at = last + 1
end
return 1
