//! Lifetimes of browser sessions.

use std::time::Duration;

use guarita_core::Timestamp;

/// `[sessions]`: the sessions that a cookie opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Over after so long without a request; 1 min to 30 d, default 12 h.
    pub idle: Duration,
    /// Over after so long, however often it is used; 1 min to 365 d, default 7 d.
    pub absolute: Duration,
}

/// The use of a session is written down no more often than this.
const MIN_RENEWAL: Duration = Duration::from_secs(60);

impl Lifetimes {
    /// When a session ends that began at `began` and is used now.
    pub fn ends(self, began: Timestamp, now: Timestamp) -> Timestamp {
        now.plus(self.idle).min(began.plus(self.absolute))
    }

    /// How long after one use was written down the next is: a tenth of the idle time, at most one
    /// minute.
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
