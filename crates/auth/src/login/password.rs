//! Argon2id (RFC 9106) on a bounded pool. Passwords are stored as PHC strings only; imported hashes are verified
//! and replaced.

use std::fmt::Display;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordVerifier as _};
use argon2::{Argon2, Params};
use rustix::time::ClockId;

use super::argon::{Argon2Memory, is_current};
use super::hash_format::{HashScheme, scheme};
use super::{Hashing, TokenError};
use crate::worker_pool::{QueueTimeouts, WorkerPool, used};
use guarita_core::{Secret, random};

/// Maximum length of a password, in bytes.
pub const MAX_LENGTH: usize = 1_024;
/// After the time of so many hashes without a finished one, hashing gets priority over forwarded traffic.
const BUSY_PATIENCE: u32 = 40;
/// After the time of so many hashes, it gets priority over other processes.
const QUIET_PATIENCE: u32 = 2;
/// Time-out of a hash.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// Minimum of both times.
const LEAST_PATIENCE: Duration = Duration::from_millis(10);

pub use crate::worker_pool::Busy;

/// The result of a verification.
#[derive(Debug)]
#[must_use]
pub enum PasswordVerification {
    /// The password is wrong, or there is no hash.
    Wrong,
    /// The password is right.
    Right,
    /// The password is right, and this is its hash at the current cost.
    Outdated(Secret),
}

/// Hashes and verifies passwords, with limited concurrency.
#[derive(Debug)]
pub struct Passwords {
    pool: WorkerPool<Argon2Memory>,
    params: Params,
    /// The hash that is verified for unknown users, so that the work is the same.
    dummy: Secret,
}

impl Passwords {
    /// Creates it and computes the hash for unknown users.
    pub fn new(hashing: &Hashing) -> Result<Self, TokenError> {
        let params = Params::new(hashing.memory_kib, hashing.iterations, hashing.parallelism, None)
            .map_err(|error| TokenError(format!("passwords: {error}")))?;
        let began = used(ClockId::ThreadCPUTime);
        let dummy = hash(&random::token()?, &params, &mut Argon2Memory::default())?;
        let cost = used(ClockId::ThreadCPUTime).saturating_sub(began);
        let patience = QueueTimeouts {
            busy: (cost * BUSY_PATIENCE).max(LEAST_PATIENCE),
            quiet: (cost * QUIET_PATIENCE).max(LEAST_PATIENCE),
            niceness: 19,
            answer: LONGEST_WAIT,
        };
        let threads = hashing.concurrency.max(1);
        let pool = WorkerPool::start("guarita-hash", threads, hashing.queue, patience)
            .map_err(|error| TokenError(format!("passwords: {error}")))?;
        Ok(Self { pool, params, dummy })
    }

    /// A PHC string of the password.
    pub async fn hash(&self, password: &Secret) -> Result<Result<Secret, Busy>, TokenError> {
        let (password, params) = (password.clone(), self.params.clone());
        self.run(move |memory| hash(&password, &params, memory)).await
    }

    /// Verifies the password against the PHC string, or against a dummy hash if there is none.
    pub async fn verify(
        &self,
        password: &Secret,
        against: Option<&Secret>,
    ) -> Result<Result<PasswordVerification, Busy>, TokenError> {
        let (password, params) = (password.clone(), self.params.clone());
        let scheme = against.map_or(HashScheme::Nothing, scheme);
        let known = scheme != HashScheme::Nothing;
        let against = against.filter(|_| known).unwrap_or(&self.dummy).clone();
        self.run(move |memory| {
            let verified = match scheme {
                HashScheme::Argon2 | HashScheme::Nothing => {
                    verify(&password, &against, &params, memory)?
                }
                HashScheme::Bcrypt => verify_bcrypt(&password, &against, &params, memory)?,
            };
            Ok(if known { verified } else { PasswordVerification::Wrong })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Argon2Memory) -> Result<T, TokenError> + Send + Sync + 'static,
    ) -> Result<Result<T, Busy>, TokenError> {
        self.pool.run(work).await.map_or_else(|busy| Ok(Err(busy)), |done| done.map(Ok))
    }
}

fn hash(
    password: &Secret,
    params: &Params,
    memory: &mut Argon2Memory,
) -> Result<Secret, TokenError> {
    let salt = random::bytes::<16>()?;
    memory
        .hash(password.expose().as_bytes(), &salt, params)
        .map(|hash| Secret::new(hash.to_string()))
        .map_err(|error| TokenError(format!("hashing a password failed: {error}")))
}

fn verify(
    password: &Secret,
    against: &Secret,
    params: &Params,
    memory: &mut Argon2Memory,
) -> Result<PasswordVerification, TokenError> {
    let parsed = PasswordHash::new(against.expose())
        .map_err(|error| TokenError(format!("a stored password hash is invalid: {error}")))?;
    let text = password.expose().as_bytes();
    if is_current(&parsed, params) {
        let right = memory.verify(text, &parsed, params).map_err(unusable)?;
        return Ok(if right { PasswordVerification::Right } else { PasswordVerification::Wrong });
    }
    match Argon2::default().verify_password(text, &parsed) {
        Ok(()) => hash(password, params, memory).map(PasswordVerification::Outdated),
        Err(password_hash::Error::PasswordInvalid) => Ok(PasswordVerification::Wrong),
        Err(error) => Err(unusable(error)),
    }
}

/// bcrypt uses only the first 72 bytes of a password, as where the hash was created.
fn verify_bcrypt(
    password: &Secret,
    against: &Secret,
    params: &Params,
    memory: &mut Argon2Memory,
) -> Result<PasswordVerification, TokenError> {
    match bcrypt::verify(password.expose(), against.expose()) {
        Ok(true) => hash(password, params, memory).map(PasswordVerification::Outdated),
        Ok(false) => Ok(PasswordVerification::Wrong),
        Err(error) => Err(unusable(error)),
    }
}

fn unusable(error: impl Display) -> TokenError {
    TokenError(format!("a stored password hash cannot be verified: {error}"))
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordHasher as _;
    use argon2::{Algorithm, Version};

    use super::*;

    fn hashing(iterations: u32) -> Hashing {
        Hashing { memory_kib: 64, iterations, parallelism: 1, concurrency: 1, queue: 1 }
    }

    #[tokio::test]
    async fn a_password_is_kept_as_a_salted_phc_string() {
        let passwords = Passwords::new(&hashing(1)).unwrap();
        let password = Secret::new("correct horse battery staple");
        let one = passwords.hash(&password).await.unwrap().unwrap();
        let two = passwords.hash(&password).await.unwrap().unwrap();
        assert!(one.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{}", one.expose());
        assert_ne!(one.expose(), two.expose());
        let right = passwords.verify(&password, Some(&one)).await.unwrap();
        assert!(matches!(right, Ok(PasswordVerification::Right)));
        let wrong = passwords.verify(&Secret::new("wrong"), Some(&one)).await.unwrap();
        assert!(matches!(wrong, Ok(PasswordVerification::Wrong)));
    }

    #[tokio::test]
    async fn a_hash_at_another_cost_is_upgraded() {
        let password = Secret::new("correct horse battery staple");
        let old = Passwords::new(&hashing(1)).unwrap().hash(&password).await.unwrap().unwrap();
        let passwords = Passwords::new(&hashing(2)).unwrap();
        let verified = passwords.verify(&password, Some(&old)).await.unwrap();
        let Ok(PasswordVerification::Outdated(new)) = verified else { panic!("{verified:?}") };
        let verified = passwords.verify(&password, Some(&new)).await.unwrap();
        assert!(matches!(verified, Ok(PasswordVerification::Right)));
    }

    #[tokio::test]
    async fn a_hash_from_elsewhere_is_verified_and_made_anew() {
        let passwords = Passwords::new(&hashing(1)).unwrap();
        let right = Secret::new("correct horse battery staple");
        let long = Secret::new("x".repeat(1_024));
        let foreign = argon2::Argon2::new(
            Algorithm::Argon2i,
            Version::V0x10,
            Params::new(128, 3, 2, None).unwrap(),
        );
        let argon2i = foreign
            .hash_password_with_salt(right.expose().as_bytes(), b"some salt, longer")
            .unwrap()
            .to_string();
        let bcrypt = bcrypt::hash(right.expose(), 4).unwrap();
        let hashes =
            [argon2i, bcrypt.replacen("$2b$", "$2y$", 1), bcrypt.replacen("$2b$", "$2a$", 1)];
        for hash in hashes.into_iter().chain([bcrypt]) {
            let hash = Secret::new(hash);
            let verified = passwords.verify(&right, Some(&hash)).await.unwrap();
            let Ok(PasswordVerification::Outdated(new)) = verified else { panic!("{verified:?}") };
            assert!(new.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
            for wrong in [&Secret::new("wrong"), &Secret::new(""), &Secret::new("a\0b"), &long] {
                let verified = passwords.verify(wrong, Some(&hash)).await.unwrap();
                assert!(matches!(verified, Ok(PasswordVerification::Wrong)), "{verified:?}");
            }
        }
        let none = Secret::new(crate::login::hash_format::NO_PASSWORD);
        for password in [&right, &none, &passwords.dummy.clone()] {
            let verified = passwords.verify(password, Some(&none)).await.unwrap();
            assert!(matches!(verified, Ok(PasswordVerification::Wrong)));
        }
    }

    #[tokio::test]
    async fn nothing_matches_where_there_is_no_user() {
        let passwords = Passwords::new(&hashing(1)).unwrap();
        let dummy = passwords.dummy.clone();
        let verified = passwords.verify(&dummy, None).await.unwrap();
        assert!(matches!(verified, Ok(PasswordVerification::Wrong)));
    }
}
