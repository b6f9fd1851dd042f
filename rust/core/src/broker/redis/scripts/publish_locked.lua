-- Sends messages that want a lock, unless another task has it. ARGV: 1 if one that may not go keeps all from going;
-- then of each message: its lock's key ('' for none), its task, milliseconds that the lock lasts, the commands that send
-- it, the commands for when it may not go. Commands are their count, and of each the count of its words and the words.
-- Returns place and holder of each that may not go.
local at = 2
local function commands()
  local list = {}
  local count = tonumber(ARGV[at])
  at = at + 1
  for number = 1, count do
    local words = tonumber(ARGV[at])
    list[number] = {unpack(ARGV, at + 1, at + words)}
    at = at + 1 + words
  end
  return list
end
local messages, taken, duplicates = {}, {}, {}
while at <= #ARGV do
  local message = {key = ARGV[at], id = ARGV[at + 1], lasts = ARGV[at + 2]}
  at = at + 3
  message.commands, message.otherwise = commands(), commands()
  if message.key ~= '' then
    local holder = taken[message.key] or redis.call('GET', message.key)
    if not holder then
      taken[message.key], message.takes = message.id, true
    elseif holder == message.id then
      message.commands = {}
    else
      duplicates[#duplicates + 1] = #messages
      duplicates[#duplicates + 1] = holder
      message.commands = message.otherwise
    end
  end
  messages[#messages + 1] = message
end
if ARGV[1] == '1' and #duplicates > 0 then return duplicates end
for _, message in ipairs(messages) do
  for _, words in ipairs(message.commands) do redis.call(unpack(words)) end
  if message.takes then redis.call('SET', message.key, message.id, 'PX', message.lasts) end
end
return duplicates
