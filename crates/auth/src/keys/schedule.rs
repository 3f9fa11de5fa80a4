//! When a key is announced, signs and expires. Everything depends on times that all gateways read from the same
//! place, so that they need not coordinate at the moment of a switch.
//!
//! A new key is announced `publish_ahead` before it signs. Others may cache the published set for a third of that,
//! at most 5 min; the rest covers the time until other gateways know the key (1 s from a database, 10 s from
//! files) and clocks that differ: nearly ten of the default 15 min.

use std::time::Duration;

use super::directory::{KeyFile, KeyFileContent};
use guarita_core::Timestamp;
use guarita_core::jose::{Algorithm, ScheduledKey, VerifyingKey};

/// Maximum lifetime of an access token in any configuration.
pub const LONGEST_TOKEN_LIFE: Duration = Duration::from_secs(86_400);
/// Default of `tokens.publish_ahead`.
pub const PUBLISH_AHEAD: Duration = Duration::from_secs(900);
/// Maximum time that others may cache the published set.
const LONGEST_MAX_AGE: Duration = Duration::from_secs(300);
/// Added to the lifetime of what a key signed last, for clocks that differ and leeway.
const MARGIN: Duration = Duration::from_secs(3600);

/// How long others may cache the published set of keys (`max-age`).
pub fn max_age(publish_ahead: Duration) -> Duration {
    (publish_ahead / 3).min(LONGEST_MAX_AGE)
}

/// Until when keys of tokens verify after they were replaced.
pub(super) fn tokens_end(successor_signs_from: Timestamp) -> Timestamp {
    successor_signs_from.plus(LONGEST_TOKEN_LIFE + MARGIN)
}

/// Like [`tokens_end`], for keys of assertions, which are valid for a minute.
pub(super) fn assertions_end(successor_signs_from: Timestamp) -> Timestamp {
    successor_signs_from.plus(MARGIN)
}

/// A key with its times.
#[derive(Debug)]
pub(super) struct Timed {
    pub(super) key: KeyFileContent,
    /// [`None`] for at once.
    pub(super) signs_from: Option<Timestamp>,
    pub(super) verifies_until: Option<Timestamp>,
}

impl From<KeyFile> for Timed {
    fn from(file: KeyFile) -> Self {
        let KeyFile { key, signs_from, verifies_until, .. } = file;
        Self { key, signs_from, verifies_until }
    }
}

/// Keys that verify, each with its expiry.
pub(super) type Others = Vec<(VerifyingKey, Option<Timestamp>)>;

/// Splits keys into those that sign, in the given order, and all others. If an algorithm is given, private keys of
/// another one only verify. Expired keys are dropped. [`None`] if no key signs.
pub(super) fn schedule(
    keys: Vec<Timed>,
    wanted: Option<Algorithm>,
    now: Timestamp,
) -> Option<(Vec<ScheduledKey>, Others)> {
    let mut signing: Vec<ScheduledKey> = Vec::new();
    let mut others = Others::new();
    for Timed { key, signs_from, verifies_until } in keys {
        match key {
            KeyFileContent::Private(key)
                if wanted.is_none_or(|wanted| key.algorithm() == wanted) =>
            {
                // The same one may lie in two files.
                signing.retain(|it| it.key.id() != key.id());
                let signs_from = signs_from.unwrap_or(Timestamp::from_seconds(0));
                signing.push(ScheduledKey { key, signs_from, verifies_until });
            }
            KeyFileContent::Private(key) => others.push((key.verifying_key(), verifies_until)),
            KeyFileContent::Public(key) => others.push((key, verifies_until)),
        }
    }
    // Where the key that was to come is taken away again, the one before it goes on.
    signing.last_mut()?.verifies_until = None;
    let counts = |until: &Option<Timestamp>| until.is_none_or(|until| now < until);
    signing.retain(|it| counts(&it.verifies_until));
    others.retain(|(_, until)| counts(until));
    Some((signing, others))
}

#[cfg(test)]
mod tests {
    use super::*;
    use guarita_core::jose::{Keyring, SigningKey};

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn key() -> SigningKey {
        let text = SigningKey::generate(Algorithm::Es256).unwrap();
        SigningKey::parse(Algorithm::Es256, &text).unwrap()
    }

    fn timed(key: SigningKey, from: Option<Timestamp>, until: Option<Timestamp>) -> Timed {
        Timed { key: KeyFileContent::Private(key), signs_from: from, verifies_until: until }
    }

    fn published(keyring: &Keyring, now: Timestamp) -> usize {
        let set: serde_json::Value = serde_json::from_slice(&keyring.jwks(now)).unwrap();
        set["keys"].as_array().unwrap().len()
    }

    /// One clock may be ten minutes off, and others keep what is published as long as they may.
    #[test]
    fn the_time_ahead_covers_what_it_is_for() {
        let hearing = Duration::from_secs(10);
        let clocks = PUBLISH_AHEAD - max_age(PUBLISH_AHEAD) - hearing;
        assert!(clocks > Duration::from_secs(9 * 60), "{clocks:?}");
        assert_eq!(max_age(Duration::from_secs(86_400)), LONGEST_MAX_AGE);
        assert_eq!(max_age(Duration::from_secs(6)), Duration::from_secs(2));
    }

    #[test]
    fn a_key_is_announced_signs_and_ends_by_time_alone() {
        let (old, new) = (key(), key());
        let (old_id, new_id) = (old.id().to_owned(), new.id().to_owned());
        let switch = NOW.plus(PUBLISH_AHEAD);
        let end = tokens_end(switch);
        let keys = vec![timed(old, None, Some(end)), timed(new, Some(switch), None)];
        let (signing, others) = schedule(keys, None, NOW).unwrap();
        let keyring = Keyring::scheduled(signing, others).unwrap();
        let second = Duration::from_secs(1);
        for (now, signs, count) in [
            (NOW, &old_id, 2),
            (switch.minus(second), &old_id, 2),
            (switch, &new_id, 2),
            (end.minus(second), &new_id, 2),
            (end, &new_id, 1),
        ] {
            assert_eq!(keyring.signing(now).id(), signs, "{now:?}");
            assert_eq!(published(&keyring, now), count, "{now:?}");
        }
        // What the old one signed last, by a clock ten minutes behind, lives for a day.
        let last = switch.plus(Duration::from_secs(600)).plus(LONGEST_TOKEN_LIFE);
        assert!(last < end);
    }

    #[test]
    fn where_the_next_key_is_taken_away_the_last_one_goes_on() {
        let old = key();
        let keys = vec![timed(old, None, Some(NOW.plus(Duration::from_secs(60))))];
        let (signing, others) = schedule(keys, None, NOW.plus(LONGEST_TOKEN_LIFE)).unwrap();
        let keyring = Keyring::scheduled(signing, others).unwrap();
        assert_eq!(published(&keyring, NOW.plus(LONGEST_TOKEN_LIFE)), 1);
        assert!(schedule(Vec::new(), None, NOW).is_none());
    }

    #[test]
    fn what_is_over_is_left_out() {
        let gone = timed(key(), None, Some(NOW));
        let (signing, others) = schedule(vec![gone, timed(key(), None, None)], None, NOW).unwrap();
        assert_eq!((signing.len(), others.len()), (1, 0));
    }
}
