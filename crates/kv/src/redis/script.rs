//! Lua scripts: atomic operations in Redis by its own clock, so that a gateway with a wrong clock does no harm.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// A script, known to the server by its SHA-1.
#[derive(Debug)]
pub struct Script {
    text: &'static str,
    digest: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let digest = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, digest }
    }

    /// The text.
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// SHA-1 of the text, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// All scripts.
#[derive(Debug)]
pub struct Scripts {
    /// `KEYS` one; `ARGV` interval and period in microseconds. 0, or the microseconds to wait.
    pub rate: Script,
    /// `KEYS` ticket and the set of its kind; `ARGV` value, attempts, lifetime in milliseconds, limit, name. Returns 1,
    /// or 0 if the limit is reached.
    pub put: Script,
    /// `KEYS` as above; `ARGV` name. The value, or nothing.
    pub attempt: Script,
    /// `KEYS` as above; `ARGV` name. The value, or nothing.
    pub take: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            rate: Script::new(RATE),
            put: Script::new(PUT),
            attempt: Script::new(ATTEMPT),
            take: Script::new(TAKE),
        }
    }
}

// The generic cell rate algorithm, as in `rate`. A key says when its bucket would be empty again, and is
// forgotten then. Where the server's clock was set back, or the period is shorter now, the bucket is full.
const RATE: &str = "
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local empty_at = tonumber(redis.call('GET', KEYS[1]) or now)
if empty_at < now then empty_at = now end
if empty_at > now + period then
  empty_at = now + period
  redis.call('SET', KEYS[1], string.format('%.0f', empty_at), 'PX', math.ceil(period / 1000))
end
local ahead = empty_at + interval - now
if ahead > period then return ahead - period end
redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
return 0
";

const PUT: &str = "
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], 'value', ARGV[1], 'attempts', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
";

const ATTEMPT: &str = "
local value = redis.call('HGET', KEYS[1], 'value')
if not value then return false end
if redis.call('HINCRBY', KEYS[1], 'attempts', -1) < 0 then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  return false
end
return value
";

const TAKE: &str = "
local value = redis.call('HGET', KEYS[1], 'value')
if not value then return false end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return value
";
