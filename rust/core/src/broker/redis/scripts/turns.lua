-- Gives turns that are so far apart. KEYS: the key that lasts until the next turn is free. ARGV: microseconds between
-- two turns, the furthest that one may be away, how many are wanted. Returns how many, and microseconds until the first;
-- without any, until one is free. The key holds by how many microseconds it lasts too long.
local every, within, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local left, lasts = 0, redis.call('PTTL', KEYS[1])
if lasts > 0 then left = math.max(0, lasts * 1000 - tonumber(redis.call('GET', KEYS[1]))) end
if left > within then return {0, left} end
local count = math.min(wanted, math.floor((within - left) / every) + 1)
local total = left + count * every
local milliseconds = math.ceil(total / 1000)
local over = string.format('%.0f', milliseconds * 1000 - total)
redis.call('SET', KEYS[1], over, 'PX', string.format('%.0f', milliseconds))
return {count, left}
