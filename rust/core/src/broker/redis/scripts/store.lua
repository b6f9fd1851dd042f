-- Writes a result unless the task has succeeded already. KEYS: the result's key. ARGV: the document, seconds to live (0: for ever).
local old = redis.call('GET', KEYS[1])
if old then
  local is_json, document = pcall(cjson.decode, old)
  if is_json then
    if type(document) == 'table' and document.status == 'SUCCESS' then return 0 end
  elseif string.find(string.sub(old, 1, 64), 'SUCCESS', 1, true) then
    return 0
  end
end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SETEX', KEYS[1], ARGV[2], ARGV[1])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
