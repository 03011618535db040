//! What Redis does in one step. Each script reads, compares and writes without anybody in between; a command that arrives
//! late (Redis hung, and goes on) meets the same comparison.

use std::sync::LazyLock;

use redis::Script;

/// A script, sent once and then called by its digest.
pub(super) type Lua = LazyLock<Script>;

macro_rules! lua {
    ($($line:expr),+ $(,)?) => {
        LazyLock::new(|| Script::new(concat!($($line, "\n"),+)))
    };
}

/// Before anything is written for a session: whose is it? KEYS[1] lease; ARGV[1] node, ARGV[2] epoch.
macro_rules! fence {
    () => {
        "local held = redis.call('HMGET', KEYS[1], 'epoch', 'node')
         local epoch, theirs = tonumber(ARGV[2]), tonumber(held[1] or '')
         if theirs and (theirs > epoch or (theirs == epoch and held[2] ~= ARGV[1])) then
             return {held[1], held[2]}
         end"
    };
}

/// KEYS lease; ARGV node, epoch, milliseconds. Gives back the other owner, if there is one.
pub(super) static CLAIM: Lua = lua!(
    fence!(),
    "redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'node', ARGV[1])
     redis.call('PEXPIRE', KEYS[1], ARGV[3])
     return {}"
);

/// KEYS lease, snapshot; ARGV node, epoch, `all` or `lease`.
pub(super) static GIVE_UP: Lua = lua!(
    fence!(),
    "redis.call('DEL', KEYS[1])
     if ARGV[3] == 'all' then
         local written = tonumber(redis.call('HGET', KEYS[2], 'epoch') or '')
         if written and written <= epoch then redis.call('DEL', KEYS[2]) end
     end
     return {}"
);

/// KEYS lease, snapshot; ARGV node, epoch, revision, state, milliseconds.
pub(super) static PUT_SNAPSHOT: Lua = lua!(
    fence!(),
    "local there = redis.call('HMGET', KEYS[2], 'epoch', 'revision')
     local written, revision = tonumber(there[1] or ''), tonumber(there[2] or '')
     if written and (written > epoch or (written == epoch and revision > tonumber(ARGV[3]))) then return {} end
     redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'revision', ARGV[3], 'state', ARGV[4])
     redis.call('PEXPIRE', KEYS[2], ARGV[5])
     return {}"
);

/// KEYS lease, snapshot and token of each; ARGV node, lease and window in milliseconds, then the epoch of each.
pub(super) static RENEW: Lua = lua!(
    "local answers = {}
     for at = 1, #KEYS / 3 do
         local lease, epoch = KEYS[3 * at - 2], tonumber(ARGV[3 + at])
         local held = redis.call('HMGET', lease, 'epoch', 'node')
         local theirs = tonumber(held[1] or '')
         if theirs and (theirs > epoch or (theirs == epoch and held[2] ~= ARGV[1])) then
             answers[at] = {held[1], held[2], 0, 0}
         else
             redis.call('HSET', lease, 'epoch', ARGV[3 + at], 'node', ARGV[1])
             redis.call('PEXPIRE', lease, ARGV[2])
             answers[at] = {'', '', redis.call('PEXPIRE', KEYS[3 * at - 1], ARGV[3]), redis.call('PEXPIRE', KEYS[3 * at], ARGV[3])}
         end
     end
     return answers"
);

/// KEYS token. A token that was taken stays as an empty one, so that a late `SET … NX` does not revive it.
pub(super) static TAKE_TOKEN: Lua = lua!(
    "local session = redis.call('GET', KEYS[1])
     if not session or session == '' then return false end
     redis.call('SET', KEYS[1], '', 'KEEPTTL')
     return session"
);

/// KEYS generation, node, nodes; ARGV a new generation, its milliseconds, the node as JSON, its name, its milliseconds.
pub(super) static ANNOUNCE: Lua = lua!(
    "redis.call('SET', KEYS[1], ARGV[1], 'NX')
     redis.call('PEXPIRE', KEYS[1], ARGV[2])
     redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[5])
     local time = redis.call('TIME')
     local now = time[1] * 1000 + math.floor(time[2] / 1000)
     redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
     redis.call('ZADD', KEYS[3], now + ARGV[5], ARGV[4])
     redis.call('PEXPIRE', KEYS[3], ARGV[5])
     return redis.call('GET', KEYS[1])"
);

/// KEYS counter; ARGV microseconds of what is taken, microseconds of all. Gives back what is used and what was missing. Numbers
/// are written out whole: Lua's own way rounds them.
pub(super) static TAKE: Lua = lua!(
    "local time = redis.call('TIME')
     local now = time[1] * 1000000 + time[2]
     local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
     local after = full + ARGV[1]
     local missing = after - now - ARGV[2]
     if missing > 0 then return {full - now, missing} end
     if after > now then
         redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
     end
     return {after - now, 0}"
);

/// KEYS record; ARGV request, owner, milliseconds.
pub(super) static BEGIN: Lua = lua!(
    "local there = redis.call('HMGET', KEYS[1], 'request', 'answer')
     if not there[1] then
         redis.call('HSET', KEYS[1], 'request', ARGV[1], 'owner', ARGV[2])
         redis.call('PEXPIRE', KEYS[1], ARGV[3])
         return {'new', false}
     end
     if there[1] ~= ARGV[1] then return {'mismatch', false} end
     if there[2] then return {'done', there[2]} end
     return {'running', false}"
);

/// KEYS record; ARGV owner, answer, milliseconds; without an answer the record goes.
pub(super) static SETTLE: Lua = lua!(
    "if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
     if #ARGV == 1 then return redis.call('DEL', KEYS[1]) end
     redis.call('HSET', KEYS[1], 'answer', ARGV[2])
     return redis.call('PEXPIRE', KEYS[1], ARGV[3])"
);
