//! What is left of a personal value when it is written down.

use std::fmt;

use crate::model::UserId;

/// A user id of which only the last two digits are shown.
#[derive(Clone, Copy, Debug)]
pub struct MaskedUser(pub UserId);

impl fmt::Display for MaskedUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "***{:02}", self.0.get().rem_euclid(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_user_id_is_never_shown() {
        assert_eq!(MaskedUser(UserId::new(7)).to_string(), "***07");
        assert_eq!(MaskedUser(UserId::new(123_456)).to_string(), "***56");
    }
}
