-- One round trip of a ledger in Redis. See engine/ledger.py for the rules; postgres.sql has the same ones.
-- Times are epoch seconds of this server's clock. Keys: see `RedisServer`. Numbers are returned as text, because Redis
-- cuts off fractions.

local CATCH_UP, EARLY, OUTDATED = 0.05, 0.0005, 15
local QUEUE_EXPIRES, DAY_EXPIRES = 7200, 259200

local queue, places, day, fences = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local operation = ARGV[1]

local function number(text)
    if not text or text == '-inf' then return -math.huge end
    return tonumber(text)
end

local function text(value)
    if value == -math.huge then return '-inf' end
    return string.format('%.6f', value)
end

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6

local function reserve(per_day, requests, period, gap, burst, late, delay, ahead, most, phase_low, phase_high, fence, token)
    if fence ~= '' then
        local newest = tonumber(redis.call('HGET', fences, fence) or token)
        if newest > token then return {text(now), 'fenced', string.format('%.0f', newest)} end
        redis.call('HSET', fences, fence, string.format('%.0f', token))
    end

    local count = redis.call('HMGET', day, 'spent', 'closed')
    local left = per_day - tonumber(count[1] or 0)
    if count[2] or left <= 0 then return {text(now), 'spent'} end

    local state = redis.call('HMGET', queue, 'seq', 'free', 'held', 'seen')
    local seq, free, held, seen = tonumber(state[1] or 0), number(state[2]), number(state[3]), number(state[4])
    if seen - now > OUTDATED then  -- the clock was set back: nothing recorded counts, so wait a window
        free, held = now, now + math.max(held - seen, period)
        redis.call('DEL', places)
        redis.call('HSET', queue, 'free', text(free), 'held', text(held), 'seen', text(now))
    end

    local arrived = {}
    for i, each in ipairs(redis.call('LRANGE', places, 0, -1)) do arrived[i] = number(each) end
    local stored, reply = #arrived, now + delay
    local slots, next_slot = {}, 0
    while #slots / 3 < math.min(most, left) do
        local predecessor = -math.huge
        if #arrived >= requests then predecessor = arrived[#arrived + 1 - requests] end
        local slot = predecessor + period
        if phase_low and predecessor > -math.huge then
            slot = math.min(slot, (math.floor((predecessor + phase_high) / period) + 1) * period - phase_low)
        end
        slot = math.max(slot, held, free - (burst - 1) * gap)
        if slot - now > ahead + EARLY then
            next_slot = slot
            break
        end
        local due = free
        local begins = reply
        if reply - slot <= CATCH_UP then begins = slot end
        free = math.max(free, begins) + gap
        slot = math.max(slot, reply)
        slots[#slots + 1], slots[#slots + 2], slots[#slots + 3] = text(slot), text(predecessor), text(due)
        arrived[#arrived + 1] = slot + late
    end
    local granted = #slots / 3
    if granted == 0 then return {text(now), 'early', text(next_slot)} end

    for i = stored + 1, #arrived do redis.call('RPUSH', places, text(arrived[i])) end
    local outdated = 0
    while #arrived - outdated > requests and arrived[outdated + 1] < now - 2 * period do outdated = outdated + 1 end
    if outdated > 0 then redis.call('LTRIM', places, outdated, -1) end
    redis.call('HSET', queue, 'seq', seq + granted, 'free', text(free), 'held', text(held), 'seen', text(now))
    redis.call('EXPIRE', queue, QUEUE_EXPIRES)
    redis.call('EXPIRE', places, QUEUE_EXPIRES)
    redis.call('HINCRBY', day, 'spent', granted)
    redis.call('EXPIRE', day, DAY_EXPIRES)
    return {text(now), 'granted', tostring(seq + 1), unpack(slots)}
end

local function postpone(seq, arrived)
    local last = tonumber(redis.call('HGET', queue, 'seq') or 0)
    local index = seq - last - 1  -- from the end
    if index < 0 and redis.call('LLEN', places) >= -index then redis.call('LSET', places, index, arrived) end
end

-- The places ascend; each is a sequence number, its predecessor, and when the next slot was due before it.
local function release(unused)
    local last = tonumber(redis.call('HGET', queue, 'seq') or 0)
    for i = #unused - 2, 1, -3 do
        local seq = tonumber(unused[i])
        local index = seq - last - 1
        if seq == last then
            redis.call('RPOP', places)
            redis.call('HSET', queue, 'seq', seq - 1, 'free', unused[i + 2])
            last = seq - 1
        elseif index < 0 and redis.call('LLEN', places) >= -index then
            redis.call('LSET', places, index, unused[i + 1])
        end
    end
    local spent = tonumber(redis.call('HGET', day, 'spent') or 0)
    redis.call('HSET', day, 'spent', math.max(spent - #unused / 3, 0))
    redis.call('EXPIRE', day, DAY_EXPIRES)
end

if operation == 'reserve' then
    local n = {}
    for i = 2, 10 do n[i] = tonumber(ARGV[i]) end
    return reserve(
        n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10],
        tonumber(ARGV[11]), tonumber(ARGV[12]), ARGV[13], tonumber(ARGV[14]))
elseif operation == 'postpone' then
    postpone(tonumber(ARGV[2]), ARGV[3])
elseif operation == 'release' then
    release({unpack(ARGV, 2)})
elseif operation == 'hold' then
    local held = math.max(number(redis.call('HGET', queue, 'held')), now + tonumber(ARGV[2]))
    redis.call('HSET', queue, 'held', text(held))
    redis.call('EXPIRE', queue, QUEUE_EXPIRES)
elseif operation == 'close' then
    redis.call('HSET', day, 'closed', 1)
    redis.call('EXPIRE', day, DAY_EXPIRES)
elseif operation == 'spent' then
    local count = redis.call('HMGET', day, 'spent', 'closed')
    return {count[1] or '0', count[2] or ''}
end
