-- Puts one dead letter back into its list. KEYS: the dead letters, the list. ARGV: the letter, the message.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1
