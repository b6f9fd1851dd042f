-- Gives a key another name, if it is there. KEYS: the key, its new name.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('RENAME', KEYS[1], KEYS[2])
return 1
