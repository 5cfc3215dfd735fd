// What Redis does in one step. Each script is atomic, so an instance may die between any two of them and nothing is half done.
//
// Keys, below the prefix:
//   c:ID       hash of a client: token; at, its connection (INSTANCE.NUMBER), beyond which nobody may speak for it; of one that
//              counts session, link, sent, bytes (of k:ID), received; box: 1 when it comes over HTTP; while it is not connected
//              lost (since when), until (reserved), outage (awaited until)
//   k:ID       list: messages to a client that counts, which it has not confirmed; the last has the number `sent`
//   t:ID       sorted set: whom it exchanged descriptions with
//   h:ID       list: messages that wait for an id that is not there, each AT:DUE:SOURCE:TEXT
//   p:ID       hash: how many and how large, for each source and together
//   due        sorted set: ids with messages that wait, by when the first expires
//   waiting    hash: messages and bytes that wait, together
//   m:INSTANCE set: ids that are connected there
//   instances  sorted set: instances, by when they last said that they are alive
//   r:ROOM     hash of a room, whose name is in JSON: its members' ids, each AT LF TOKEN LF MEMBER, token and member in JSON; the
//              empty id, since when there is this room; the id of one space, how many changes there were
// Channel rooms carries to everybody what changed in rooms, and which instance ended or is new: `dead` or `alive` LF INSTANCE; or,
// with line feeds between,
// since when there is the room, which change it is, the room, id, reason (none: it is in), and what r:ROOM has of it, or AT.
// Channel to:INSTANCE carries what its clients are sent, `AT NUMBER TEXT`, and `AT !replaced`, `AT !slow`. What a publication does
// not reach is in k:ID or h:ID all the same.
import type { ResolvedOptions } from '../options.js'

/** An instance that said nothing for this long is dead, ms. */
export const lease = 2500
/** It says so this often, ms. */
export const beat = 700

const maxContacts = 256

/** Times are those of Redis, ms. */
const common = `
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function instance(at) return string.match(at, '^[^.]+') end

local function publish(at, what) return call('PUBLISH', P .. 'to:' .. instance(at), at .. ' ' .. what) end

local function expiry(missing, sender)
  return '{"type":"EXPIRE","src":"' .. missing .. '","dst":"' .. sender .. '"}'
end

-- One change of a room, to all instances.
local function announce(room, id, reason, what)
  local key = P .. 'r:' .. room
  call('HSETNX', key, '', now)
  local n = call('HINCRBY', key, ' ', 1)
  call('PUBLISH', P .. 'rooms', table.concat({ call('HGET', key, ''), n, room, id, reason, what }, '\\n'))
end

-- False when the client is at another instance by now.
local function enroll(room, id, value)
  local key = P .. 'r:' .. room
  local at = call('HGET', P .. 'c:' .. id, 'at')
  if at and instance(at) ~= instance(value) then return false end
  if call('HGET', key, id) ~= value then
    call('HSET', key, id, value)
    announce(room, id, '', value)
  end
  call('PEXPIRE', key, OUTAGE + 600000)
  return true
end

-- It is not connected any more and may come back.
local function lose(id, reserved, outage)
  call('HSET', P .. 'c:' .. id, 'lost', now, 'until', reserved)
  if outage then call('HSET', P .. 'c:' .. id, 'outage', now + OUTAGE) end
  for _, key in ipairs({ 'c:', 'k:', 't:' }) do call('PEXPIRE', P .. key .. id, RESERVE + OUTAGE) end
end

-- Keeps a message for a client that counts; the oldest gives way. Answers how many bytes are kept.
local function keep(id, text, bytes)
  local key = P .. 'k:' .. id
  local count = call('RPUSH', key, text)
  bytes = bytes + #text
  while count > 0 and (count > DESTINATION_MESSAGES or bytes > DESTINATION_BYTES) do
    bytes = bytes - #call('LPOP', key)
    count = count - 1
  end
  return bytes
end

-- False when the client is not there; of what may wait, also when something waits already: its instance missed that and is about
-- to ask for it, and nothing passes it.
local function deliver(id, text, waits)
  local client = P .. 'c:' .. id
  local v = call('HMGET', client, 'at', 'lost', 'session', 'sent', 'bytes', 'box', 'outage')
  local at = v[1]
  if not at or v[2] or (waits and call('EXISTS', P .. 'h:' .. id) == 1) then return false end
  local number = 0
  if v[3] then
    if v[6] == '1' and (call('LLEN', P .. 'k:' .. id) >= DESTINATION_MESSAGES or tonumber(v[5]) >= DESTINATION_BYTES) then
      -- Nothing may fall out here that nobody has seen.
      call('SREM', P .. 'm:' .. instance(at), id)
      lose(id, now + RESERVE, true)
      publish(at, '!slow')
      return false
    end
    number = v[4] + 1
  end
  if publish(at, number .. ' ' .. text) == 0 then
    -- Its instance has died, or will ask for what it missed. Either way the client is believed to come back.
    if not v[7] then call('HSET', client, 'outage', now + OUTAGE) end
    return false
  end
  if v[3] then call('HSET', client, 'sent', number, 'bytes', keep(id, text, tonumber(v[5]))) end
  return true
end

-- 'held', or why not, and in how many ms it expires.
local function hold(src, dst, text)
  local size = #text
  local pairs = P .. 'p:' .. dst
  local v = call('HMGET', pairs, src .. ':n', src .. ':b', src .. ':e', src .. ':o', ':n', ':b')
  local function n(i) return tonumber(v[i] or 0) end
  local total = tonumber(call('HGET', P .. 'waiting', 'bytes') or 0)
  if total + size > TOTAL_BYTES or n(5) + 1 > DESTINATION_MESSAGES or n(6) + size > DESTINATION_BYTES
    or n(1) + 1 > PAIR_MESSAGES or n(2) + size > PAIR_BYTES then
    if not v[1] then return 'full' end
    if v[4] or (v[3] and now - v[3] < TTL) then return 'covered' end
    call('HSET', pairs, src .. ':e', now)
    return 'full'
  end
  local due = now + TTL
  local outage = call('HGET', P .. 'c:' .. dst, 'outage')
  if outage and due <= tonumber(outage) then
    due = tonumber(outage)
    call('HSET', pairs, src .. ':o', 1)
  end
  if call('RPUSH', P .. 'h:' .. dst, now .. ':' .. due .. ':' .. src .. ':' .. text) == 1 then call('ZADD', P .. 'due', due, dst) end
  call('HSET', pairs, src .. ':n', n(1) + 1, src .. ':b', n(2) + size, ':n', n(5) + 1, ':b', n(6) + size)
  call('HINCRBY', P .. 'waiting', 'messages', 1)
  call('HINCRBY', P .. 'waiting', 'bytes', size)
  -- Where nobody is left to do it in time.
  for _, key in ipairs({ 'h:', 'p:' }) do call('PEXPIRE', P .. key .. dst, TTL + OUTAGE + 60000) end
  return 'held', due - now
end

local function held(entry)
  local at, due, src, text = string.match(entry, '^(%d+):(%d+):([^:]*):(.*)$')
  return tonumber(at), tonumber(due), src, text
end

local function unheld(text)
  call('HINCRBY', P .. 'waiting', 'messages', -1)
  call('HINCRBY', P .. 'waiting', 'bytes', -#text)
end

-- All that waits for an id, in the order it came; for a stranger only what waited for anybody.
local function take(id, stranger)
  local texts, told = {}, {}
  for _, entry in ipairs(call('LRANGE', P .. 'h:' .. id, 0, -1)) do
    local at, due, src, text = held(entry)
    unheld(text)
    if not stranger or due <= at + TTL then
      texts[#texts + 1] = text
    elseif not told[src] then
      told[src] = true
      deliver(src, expiry(id, src))
    end
  end
  call('DEL', P .. 'h:' .. id, P .. 'p:' .. id)
  call('ZREM', P .. 'due', id)
  return texts
end

-- Expires what is due for an id: each sender is told once for all that it had queued up to now.
local function lapse(id)
  local list, pairs = P .. 'h:' .. id, P .. 'p:' .. id
  local told = {}
  local entry = call('LINDEX', list, 0)
  while entry do
    local at, due, src, text = held(entry)
    if due > now then break end
    call('LPOP', list)
    unheld(text)
    call('HINCRBY', pairs, ':n', -1)
    call('HINCRBY', pairs, ':b', -#text)
    call('HINCRBY', pairs, src .. ':b', -#text)
    local told_at = call('HGET', pairs, src .. ':e')
    if not told_at or at > tonumber(told_at) then
      call('HSET', pairs, src .. ':e', now)
      told[#told + 1] = src
    end
    if call('HINCRBY', pairs, src .. ':n', -1) <= 0 then call('HDEL', pairs, src .. ':n', src .. ':b', src .. ':e', src .. ':o') end
    entry = call('LINDEX', list, 0)
  end
  if entry then
    call('ZADD', P .. 'due', select(2, held(entry)), id)
  else
    call('ZREM', P .. 'due', id)
    call('DEL', pairs)
  end
  for _, src in ipairs(told) do deliver(src, expiry(id, src)) end
end

local function forget(id) call('DEL', P .. 'c:' .. id, P .. 'k:' .. id, P .. 't:' .. id) end

-- The client has everything up to this number. Answers how many bytes are kept.
local function confirm(id, sent, got, bytes)
  local key = P .. 'k:' .. id
  local count = math.min(call('LLEN', key), got - (sent - call('LLEN', key)))
  if count <= 0 then return bytes end
  for _, text in ipairs(call('LRANGE', key, 0, count - 1)) do bytes = bytes - #text end
  call('LTRIM', key, count, -1)
  return bytes
end

-- What waited for a client that is connected now: numbered and kept where it counts, else answered.
local function collect(id, counts, sent, bytes, stranger)
  local texts = take(id, stranger)
  if not counts then return sent, bytes, texts end
  for _, text in ipairs(texts) do
    sent = sent + 1
    bytes = keep(id, text, bytes)
  end
  return sent, bytes, {}
end
`

const scripts = {
  /** id, at, token, session or '', link, got, sent, box → taken | stale | in, received, sent, kept, what else waited */
  enter: `
local id, at, token, session, link, got, received, box = unpack(ARGV)
local counts = session ~= ''
local client = P .. 'c:' .. id
local v = call('HMGET', client, 'token', 'at', 'lost', 'until', 'session', 'link', 'sent', 'received', 'bytes')
local known = v[1] ~= false
local stranger = known and v[1] ~= token
if stranger then
  if not v[3] or now < tonumber(v[4]) then return { 'taken' } end
  forget(id)
  known = false
end
local same = known and counts and v[5] == session
if same and tonumber(v[6]) >= tonumber(link) then return { 'stale' } end
if known then
  call('SREM', P .. 'm:' .. instance(v[2]), id)
  if not v[3] and instance(v[2]) ~= instance(at) then publish(v[2], '!replaced') end
end
local sent, bytes = tonumber(got), 0
if same and tonumber(got) <= tonumber(v[7]) then
  sent = tonumber(v[7])
  bytes = confirm(id, sent, tonumber(got), tonumber(v[9]))
else
  call('DEL', P .. 'k:' .. id)
end
if same then received = v[8] end
call('DEL', client)
call('PERSIST', P .. 'k:' .. id)
local waited
sent, bytes, waited = collect(id, counts, sent, bytes, stranger)
call('HSET', client, 'token', token, 'at', at, 'sent', sent, 'bytes', bytes, 'received', received, 'box', box)
if counts then call('HSET', client, 'session', session, 'link', link) end
call('SADD', P .. 'm:' .. instance(at), id)
return { 'in', tonumber(received), sent, call('LRANGE', P .. 'k:' .. id, 0, -1), waited }`,

  /** As enter, of one that is connected all the while: id, at, token, session or '', link, sent, received, box, kept … → gone | in, … */
  renew: `
local id, at, token, session, link, sent, received, box = unpack(ARGV)
local counts = session ~= ''
local client = P .. 'c:' .. id
local v = call('HMGET', client, 'at', 'lost', 'sent', 'received', 'bytes')
if v[1] and v[1] ~= at then return { 'gone' } end
sent, received = tonumber(sent), tonumber(received)
local bytes = tonumber(v[5] or 0)
if not v[1] or tonumber(v[3]) < sent then
  -- Redis has forgotten something: this instance knows better.
  call('DEL', P .. 'k:' .. id)
  bytes = 0
  for i = 9, #ARGV do bytes = keep(id, ARGV[i], bytes) end
else
  sent = tonumber(v[3])
end
if v[1] then received = math.max(received, tonumber(v[4])) end
if v[2] then for _, key in ipairs({ 'k:', 't:' }) do call('PERSIST', P .. key .. id) end end
call('PERSIST', client)
call('HDEL', client, 'lost', 'until', 'outage')
local waited
sent, bytes, waited = collect(id, counts, sent, bytes, false)
call('HSET', client, 'token', token, 'at', at, 'sent', sent, 'bytes', bytes, 'received', received, 'box', box)
if counts then call('HSET', client, 'session', session, 'link', link) end
call('SADD', P .. 'm:' .. instance(at), id)
return { 'in', received, sent, call('LRANGE', P .. 'k:' .. id, 0, -1), waited }`,

  /**
   * id, at, number before, number, dst or '', kind, wait, text → how it went, and in how many ms a message that is held expires.
   * 1: taken. 0: was taken before. -1: another connection speaks for this client. -2: one before it is missing.
   */
  relay: `
local id, at, before, number, dst, kind, wait, text = unpack(ARGV)
local client = P .. 'c:' .. id
local v = call('HMGET', client, 'at', 'received')
if v[1] ~= at then return { -1 } end
if tonumber(number) <= tonumber(v[2]) then return { 0 } end
if before ~= v[2] then return { -2 } end
call('HSET', client, 'received', number)
if dst == '' then return { 1 } end
if kind == 'leave' then
  call('ZREM', P .. 't:' .. id, dst)
  call('ZREM', P .. 't:' .. dst, id)
elseif kind == 'description' and id ~= dst and call('EXISTS', P .. 'c:' .. dst) == 1 then
  for one, other in pairs({ [id] = dst, [dst] = id }) do
    call('ZADD', P .. 't:' .. one, now, other)
    call('ZREMRANGEBYRANK', P .. 't:' .. one, 0, -${maxContacts + 1})
    call('PEXPIRE', P .. 't:' .. one, 86400000)
  end
end
local waits = wait == '1' and kind ~= 'leave' and kind ~= 'expire'
if deliver(dst, text, waits) or kind == 'leave' or kind == 'expire' then return { 1 } end
local how, due = 'full', nil
if wait == '1' then how, due = hold(id, dst, text) end
if how == 'full' then deliver(id, expiry(dst, id)) end
return { 1, due }`,

  /** id, at, text: the server's own word to a client → 1 when the client was there. */
  tell: `
if call('HGET', P .. 'c:' .. ARGV[1], 'at') ~= ARGV[2] then return 0 end
return deliver(ARGV[1], ARGV[3]) and 1 or 0`,

  /** src, dst, text: reached the instance of dst too late. */
  again: `
if deliver(ARGV[2], ARGV[3], true) then return 0 end
local how, due = hold(ARGV[1], ARGV[2], ARGV[3])
return due or 0`,

  /** id, at, got */
  confirm: `
local id = ARGV[1]
local v = call('HMGET', P .. 'c:' .. id, 'at', 'sent', 'bytes')
if v[1] ~= ARGV[2] then return 0 end
call('HSET', P .. 'c:' .. id, 'bytes', confirm(id, tonumber(v[2]), tonumber(ARGV[3]), tonumber(v[3])))
return 1`,

  /** id, at, how it parts */
  part: `
local id, at, how = unpack(ARGV)
local v = call('HMGET', P .. 'c:' .. id, 'at', 'session')
if v[1] ~= at then return 0 end
call('SREM', P .. 'm:' .. instance(at), id)
if how == 'goodbye' then
  for _, peer in ipairs(call('ZRANGE', P .. 't:' .. id, 0, -1)) do
    call('ZREM', P .. 't:' .. peer, id)
    deliver(peer, '{"type":"LEAVE","src":"' .. id .. '","dst":"' .. peer .. '"}')
  end
  forget(id)
  return 1
end
local reserve = how == 'leave' and 0 or RESERVE
if reserve == 0 and how ~= 'silence' and not v[2] then forget(id)
else lose(id, now + reserve, how == 'silence') end
return 1`,

  /** instance → 1 when it was not known, 1 when there is more to do at once, in how many ms something expires, how many messages wait */
  beat: `
local fresh = call('ZADD', P .. 'instances', now, ARGV[1])
if fresh == 1 then call('PUBLISH', P .. 'rooms', 'alive\\n' .. ARGV[1]) end
local more = 0
local dead = call('ZRANGEBYSCORE', P .. 'instances', '-inf', now - ${lease}, 'LIMIT', 0, 1)[1]
if dead then
  local ids = call('SPOP', P .. 'm:' .. dead, 200)
  for _, id in ipairs(ids) do
    local v = call('HMGET', P .. 'c:' .. id, 'at', 'lost')
    if v[1] and not v[2] and instance(v[1]) == dead then lose(id, now + RESERVE, true) end
  end
  if #ids < 200 then
    call('ZREM', P .. 'instances', dead)
    call('PUBLISH', P .. 'rooms', 'dead\\n' .. dead)
  end
  more = 1
end
local due = call('ZRANGEBYSCORE', P .. 'due', '-inf', now, 'LIMIT', 0, 100)
for _, id in ipairs(due) do lapse(id) end
if #due == 100 then more = 1 end
local first = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')
if not first[1] then call('DEL', P .. 'waiting') end
return { fresh, more, first[2] and math.max(0, first[2] - now) or -1, tonumber(call('HGET', P .. 'waiting', 'messages') or 0) }`,

  /** instance: it ends, and its clients have parted. */
  end: `
if call('SCARD', P .. 'm:' .. ARGV[1]) == 0 then
  call('ZREM', P .. 'instances', ARGV[1])
  call('PUBLISH', P .. 'rooms', 'dead\\n' .. ARGV[1])
end
return 1`,

  /** room, id, what r:ROOM shall have → 1, or 0 when the client is elsewhere */
  roomJoin: `
return enroll(ARGV[1], ARGV[2], ARGV[3]) and 1 or 0`,

  /** room, id, AT, reason → 1 when it is not in, 0 when it is, but by another stay */
  roomLeave: `
local room, id, at, reason = unpack(ARGV)
local key = P .. 'r:' .. room
local value = call('HGET', key, id)
if not value then return 1 end
if string.match(value, '^[^\\n]+') ~= at then return 0 end
call('HDEL', key, id)
announce(room, id, reason, at)
if call('HLEN', key) == 2 then call('DEL', key) end
return 1`,

  /**
   * room, then id and what r:ROOM shall have of each member of this instance → since when there is the room, how many changes there
   * were, how many before this, all of r:ROOM, instances that are not known to be dead.
   */
  roomSync: `
local room = ARGV[1]
local key = P .. 'r:' .. room
local before = tonumber(call('HGET', key, ' ') or 0)
call('HSETNX', key, '', now)
for i = 2, #ARGV, 2 do enroll(room, ARGV[i], ARGV[i + 1]) end
call('PEXPIRE', key, OUTAGE + 600000)
return { call('HGET', key, ''), tonumber(call('HGET', key, ' ') or 0), before, call('HGETALL', key), call('ZRANGE', P .. 'instances', 0, -1) }`,

  /** → everybody who is connected anywhere */
  everybody: `
local ids = {}
for _, at in ipairs(call('ZRANGEBYSCORE', P .. 'instances', '(' .. now - ${lease}, '+inf')) do
  for _, id in ipairs(call('SMEMBERS', P .. 'm:' .. at)) do ids[#ids + 1] = id end
end
return ids`,

  /** id → 1 when it is somebody's */
  known: `
return call('EXISTS', P .. 'c:' .. ARGV[1])`,
} as const

export type ScriptName = keyof typeof scripts

/** The scripts with the options of this server in them. */
export function scriptsFor(prefix: string, options: ResolvedOptions): Record<ScriptName, string> {
  const { hold_limits: limits } = options
  const constants = {
    P: JSON.stringify(prefix),
    TTL: options.expire_timeout,
    OUTAGE: Math.max(options.outage_timeout, options.expire_timeout),
    RESERVE: options.reserve_timeout,
    PAIR_MESSAGES: limits.pair_messages,
    PAIR_BYTES: limits.pair_bytes,
    DESTINATION_MESSAGES: limits.destination_messages,
    DESTINATION_BYTES: limits.destination_bytes,
    TOTAL_BYTES: limits.total_bytes,
  }
  // Infinity, too, may be asked for, and Redis takes whole numbers.
  const literal = (value: string | number): string => String(typeof value === 'number' ? Math.ceil(Math.min(value, 1e12)) : value)
  const head = Object.entries(constants).map(([name, value]) => `local ${name} = ${literal(value)}\n`).join('')
  return Object.fromEntries(Object.entries(scripts).map(([name, body]) => [name, head + common + body])) as Record<ScriptName, string>
}
