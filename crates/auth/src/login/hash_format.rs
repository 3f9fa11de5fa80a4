//! Formats of password hashes that are accepted from other systems, and their verification.
//!
//! The cost of an imported hash was chosen elsewhere and is paid here at each login, so a hash that exceeds the
//! limits is rejected at the import, and again before it is computed.

use std::str::FromStr as _;

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;

use guarita_core::Secret;

/// Maximum length of a hash, in bytes.
const MAX_LENGTH: usize = 512;
/// Maximum cost of bcrypt: 2^14 rounds take about a second.
const MAX_BCRYPT_COST: u32 = 14;
/// Length of a bcrypt hash, in bytes.
const BCRYPT_LENGTH: usize = 60;
/// Maximum memory of an imported Argon2 hash, in KiB.
const MAX_MEMORY: u32 = 256 << 10;
/// Maximum number of passes.
const MAX_PASSES: u32 = 10;
/// Maximum product of memory and passes: about a second.
const MAX_WORK: u32 = 1 << 20;
/// Maximum number of lanes.
const MAX_LANES: u32 = 16;

pub use guarita_store::users::NO_PASSWORD;

/// Why a hash is rejected. Never contains the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableHash {
    /// Neither bcrypt nor Argon2, or malformed.
    #[error("is not a bcrypt ($2a$, $2b$, $2y$) or Argon2 hash")]
    Unknown,
    /// Above the limits.
    #[error(
        "is too expensive (bcrypt: cost 4 to 14; Argon2: at most 256 MiB, 10 passes, 16 lanes, and 1 GiB of memory times passes)"
    )]
    TooCostly,
}

/// The scheme of a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashScheme {
    /// Argon2 in any variant (RFC 9106).
    Argon2,
    /// bcrypt.
    Bcrypt,
    /// None: no password matches.
    Nothing,
}

pub(super) fn scheme(hash: &Secret) -> HashScheme {
    let hash = hash.expose();
    if hash.starts_with("$argon2") {
        HashScheme::Argon2
    } else if check_bcrypt(hash).is_ok() {
        HashScheme::Bcrypt
    } else {
        HashScheme::Nothing
    }
}

/// Checks a hash from another system.
pub fn check(hash: &Secret) -> Result<(), UnusableHash> {
    let hash = hash.expose();
    if hash.len() > MAX_LENGTH {
        return Err(UnusableHash::Unknown);
    }
    if hash.starts_with("$2") { check_bcrypt(hash) } else { check_argon2(hash) }
}

fn check_bcrypt(hash: &str) -> Result<(), UnusableHash> {
    let known = ["$2a$", "$2b$", "$2y$"].into_iter().find_map(|kind| hash.strip_prefix(kind));
    let (cost, rest) = known.and_then(|rest| rest.split_once('$')).ok_or(UnusableHash::Unknown)?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let whole = hash.len() == BCRYPT_LENGTH
        && cost.len() == 2
        && cost.bytes().all(|byte| byte.is_ascii_digit())
        && rest.bytes().all(letter)
        && bcrypt::HashParts::from_str(hash).is_ok();
    let cost: u32 = cost.parse().map_err(|_| UnusableHash::Unknown)?;
    match cost {
        _ if !whole => Err(UnusableHash::Unknown),
        4..=MAX_BCRYPT_COST => Ok(()),
        _ => Err(UnusableHash::TooCostly),
    }
}

fn check_argon2(hash: &str) -> Result<(), UnusableHash> {
    let hash = PasswordHash::new(hash).map_err(|_| UnusableHash::Unknown)?;
    let known = ["argon2id", "argon2i", "argon2d"].contains(&hash.algorithm.as_str());
    let version = matches!(hash.version, None | Some(16 | 19));
    let whole = hash.salt.is_some() && hash.hash.is_some_and(|output| output.len() >= 16);
    if !known || !version || !whole {
        return Err(UnusableHash::Unknown);
    }
    let params = Params::try_from(&hash).map_err(|_| UnusableHash::Unknown)?;
    let fits = params.m_cost() <= MAX_MEMORY
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= MAX_LANES
        && params.m_cost().saturating_mul(params.t_cost()) <= MAX_WORK;
    if fits { Ok(()) } else { Err(UnusableHash::TooCostly) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";

    fn argon2(kind: &str, params: &str) -> String {
        format!(
            "${kind}$v=19${params}$c29tZXNhbHRzb21lc2FsdA$CbM8W8mL0kEDWX7xT9Z2VQ8GnI0nAsMNv6hL0BdcZ5c"
        )
    }

    #[test]
    fn a_hash_within_bounds_is_taken_and_a_dear_one_refused() {
        let check = |hash: &str| check(&Secret::new(hash));
        for cost in [4, 10, 14] {
            for kind in ["2a", "2b", "2y"] {
                let hash = BCRYPT.replacen("2b$04", &format!("{kind}${cost:02}"), 1);
                assert_eq!(check(&hash), Ok(()), "{kind} {cost}");
            }
        }
        for cost in ["03", "15", "31"] {
            let hash = BCRYPT.replacen("$04$", &format!("${cost}$"), 1);
            assert_eq!(check(&hash), Err(UnusableHash::TooCostly), "{cost}");
            assert_eq!(scheme(&Secret::new(hash)), HashScheme::Nothing);
        }
        for kind in ["argon2id", "argon2i", "argon2d"] {
            assert_eq!(check(&argon2(kind, "m=4096,t=3,p=1")), Ok(()), "{kind}");
        }
        for params in ["m=262145,t=1,p=1", "m=64,t=11,p=1", "m=1024,t=1,p=17", "m=262144,t=5,p=1"] {
            assert_eq!(
                check(&argon2("argon2id", params)),
                Err(UnusableHash::TooCostly),
                "{params}"
            );
        }
        let short = BCRYPT.get(..59).unwrap();
        let long = format!("{BCRYPT}x");
        let broken = BCRYPT.replace('J', "=");
        // Bits behind the last of the salt: what computes the hash would not read it.
        let loose = BCRYPT.replacen("uu7", "uv7", 1);
        for hash in [
            "",
            "plain",
            "$none",
            "$1$abc$def",
            "$5$x$y",
            "$2b$4$x",
            "$argon2id$",
            short,
            &long,
            &broken,
            &loose,
            &BCRYPT.replacen("2b", "2x", 1),
            &argon2("argon2x", "m=64,t=1,p=1"),
            &"$2b".repeat(1000),
            "{SHA}x",
            "$2b$é4$",
        ] {
            assert_eq!(check(hash), Err(UnusableHash::Unknown), "{hash:?}");
        }
    }
}
