//! The password policy (NIST SP 800-63B-4 section 3.1.1.2): long enough, not easy to guess, not known from a
//! breach. No composition rules.

use crate::account::breached::Breached;
use crate::grant::TokenError;
use crate::login::password;
use guarita_core::Secret;

/// Number of characters of a password that zxcvbn evaluates; more would only cost time.
const MAX_JUDGED: usize = 100;

/// `[passwords]`: the policy for new passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySettings {
    /// Minimum zxcvbn score, 0 to 4; default 3: resists offline guessing for a while.
    pub min_score: u8,
    /// A local list of breached passwords.
    pub breached: Option<Breached>,
}

/// Why a password is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[must_use]
pub enum Weakness {
    /// Too short.
    #[error("the password must have at least {min_length} characters")]
    TooShort {
        /// The minimum length.
        min_length: usize,
    },
    /// Longer than 1024 bytes.
    #[error("the password must have at most 1024 bytes")]
    TooLong,
    /// Composed of words, names, dates or patterns.
    #[error("the password is too easy to guess")]
    Guessable,
    /// In the list of breached passwords.
    #[error("the password is known from a breach")]
    Breached,
}

/// Checks new passwords.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    min_length: usize,
    settings: PolicySettings,
}

impl PasswordPolicy {
    /// Creates it; `min_length` is in characters.
    pub const fn new(min_length: usize, settings: PolicySettings) -> Self {
        Self { min_length, settings }
    }

    /// The minimum length, in characters.
    pub const fn min_length(&self) -> usize {
        self.min_length
    }

    /// Checks a new password; `about` are publicly known facts of its owner: names, addresses.
    pub async fn check(
        &self,
        candidate: &Secret,
        about: &[&str],
    ) -> Result<Result<(), Weakness>, TokenError> {
        if candidate.expose().len() > password::MAX_LENGTH {
            return Ok(Err(Weakness::TooLong));
        }
        if candidate.expose().chars().count() < self.min_length {
            return Ok(Err(Weakness::TooShort { min_length: self.min_length }));
        }
        let (settings, candidate) = (self.settings.clone(), candidate.clone());
        let about: Vec<String> = about.iter().flat_map(|text| parts(text)).collect();
        let judged = tokio::task::spawn_blocking(move || check(&settings, &candidate, &about));
        judged.await.map_err(|error| TokenError(format!("checking a password failed: {error}")))?
    }
}

fn check(
    settings: &PolicySettings,
    candidate: &Secret,
    about: &[String],
) -> Result<Result<(), Weakness>, TokenError> {
    let judged = Secret::new(candidate.expose().chars().take(MAX_JUDGED).collect::<String>());
    let about: Vec<&str> = about.iter().map(String::as_str).collect();
    let score = u8::from(zxcvbn::zxcvbn(judged.expose(), &about).score());
    if score < settings.min_score {
        return Ok(Err(Weakness::Guessable));
    }
    let Some(breached) = &settings.breached else { return Ok(Ok(())) };
    let known = breached.contains(candidate);
    let known =
        known.map_err(|error| TokenError(format!("the list of breached passwords: {error}")))?;
    Ok(if known { Err(Weakness::Breached) } else { Ok(()) })
}

/// A name as a whole, or an address without its domain.
fn parts(text: &str) -> Vec<String> {
    let bounded: String = text.chars().take(MAX_JUDGED).collect();
    let local = bounded.split_once('@').map(|(local, _)| local.to_owned());
    local.into_iter().chain([bounded]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(min_score: u8) -> PasswordPolicy {
        PasswordPolicy::new(15, PolicySettings { min_score, breached: None })
    }

    async fn check(text: &str, about: &[&str]) -> Result<(), Weakness> {
        policy(3).check(&Secret::new(text), about).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_short_long_or_guessable_is_refused_and_no_composition_is_asked_for() {
        let short = Err(Weakness::TooShort { min_length: 15 });
        assert_eq!(check(&"ü".repeat(14), &[]).await, short);
        assert_eq!(check(&"x".repeat(1_025), &[]).await, Err(Weakness::TooLong));
        for weak in [
            "aaaaaaaaaaaaaaaaaaaa",
            "passwordpassword",
            "1234567890123456",
            "qwertyuiopasdfgh",
            &"abc".repeat(300),
        ] {
            assert_eq!(check(weak, &[]).await, Err(Weakness::Guessable), "{weak}");
            assert_eq!(policy(0).check(&Secret::new(weak), &[]).await.unwrap(), Ok(()));
        }
        for strong in
            ["correct horse battery staple", "tres tristes tigres tragam", "ação média çedilha ünï"]
        {
            assert_eq!(check(strong, &["alice", "alice@example.test"]).await, Ok(()), "{strong}");
        }
    }

    #[tokio::test]
    async fn what_others_know_of_the_owner_does_not_count() {
        let about = ["wolfeschlegelstein", "hubert.blaine@example.test"];
        for own in ["wolfeschlegelstein1", "hubert.blaine@example.test", "Hubert.Blaine2024"] {
            assert_eq!(check(own, &about).await, Err(Weakness::Guessable), "{own}");
        }
    }

    #[tokio::test]
    async fn a_breached_password_is_refused_and_a_list_that_is_gone_is_a_fault() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        // SHA-1 of "correct horse battery staple".
        let hash = "ABF7AAD6438836DBE526AA231ABDE2D0EEF74D42";
        std::fs::write(&path, format!("{hash}:3\n")).unwrap();
        let breached = Some(Breached::open(&path).unwrap());
        let policy = PasswordPolicy::new(15, PolicySettings { min_score: 3, breached });
        let known = Secret::new("correct horse battery staple");
        assert_eq!(policy.check(&known, &[]).await.unwrap(), Err(Weakness::Breached));
        let other = Secret::new("correct horse battery stapler");
        assert_eq!(policy.check(&other, &[]).await.unwrap(), Ok(()));
        std::fs::remove_file(&path).unwrap();
        assert!(policy.check(&other, &[]).await.is_err());
    }
}
