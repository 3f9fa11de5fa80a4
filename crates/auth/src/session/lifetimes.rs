//! Lifetimes of browser sessions.

use std::time::Duration;

use guarita_core::Timestamp;

/// `[sessions]`: the lifetimes of cookie sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// A session expires after this time without a request; 1 min to 30 d, default 12 h.
    pub idle: Duration,
    /// A session expires after this time in any case; 1 min to 365 d, default 7 d.
    pub absolute: Duration,
}

/// The use of a session is recorded at most once in this time.
const MIN_RENEWAL: Duration = Duration::from_secs(60);

impl Lifetimes {
    /// The expiry of a session that began at `began` and is used now.
    pub fn ends(self, began: Timestamp, now: Timestamp) -> Timestamp {
        now.plus(self.idle).min(began.plus(self.absolute))
    }

    /// Minimum time between two recorded uses: a tenth of the idle time, at most one minute.
    pub fn renewal(self) -> Duration {
        (self.idle / 10).min(MIN_RENEWAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_moves_the_end_but_never_beyond_the_lifetime() {
        let seconds = Duration::from_secs;
        let lifetimes = Lifetimes { idle: seconds(100), absolute: seconds(250) };
        let at = |second| Timestamp::from_seconds(second);
        assert_eq!(lifetimes.ends(at(0), at(0)), at(100));
        assert_eq!(lifetimes.ends(at(0), at(90)), at(190));
        assert_eq!(lifetimes.ends(at(0), at(180)), at(250));
        assert_eq!(lifetimes.renewal(), seconds(10));
        assert_eq!(Lifetimes { idle: seconds(43_200), ..lifetimes }.renewal(), seconds(60));
    }
}
