-- Whether any message says something, all of them looked at in one moment. KEYS: living sessions, those that are reaped,
-- queues, kombu's unacknowledged, then lists, then sorted sets. ARGV: how many lists; what a release says, and which of
-- them is meant: that one says nothing; then what is looked for.
-- Returns 1 if one does, and the living, the reaped and the queues: whoever has named the keys must have known them all.
local function says(messages)
  for _, message in ipairs(messages) do
    for at = 4, #ARGV do
      if string.find(message, ARGV[at], 1, true) then
        if not (string.find(message, ARGV[2], 1, true) and string.find(message, ARGV[3], 1, true)) then return true end
        break
      end
    end
  end
  return false
end
local function any()
  local last_list = 4 + tonumber(ARGV[1])
  for place = 5, #KEYS do
    local is_list = place <= last_list
    local length = redis.call(is_list and 'LLEN' or 'ZCARD', KEYS[place])
    for from = 0, length - 1, 100 do
      if says(redis.call(is_list and 'LRANGE' or 'ZRANGE', KEYS[place], from, from + 99)) then return 1 end
    end
  end
  return says(redis.call('HVALS', KEYS[4])) and 1 or 0
end
return {
  any(), redis.call('ZRANGE', KEYS[1], 0, -1), redis.call('ZRANGE', KEYS[2], 0, -1), redis.call('HKEYS', KEYS[3]),
}
