-- Gives locks back that their tasks still hold. KEYS: the locks. ARGV: the task of each.
for place, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[place] then redis.call('DEL', key) end
end
