//! Unknown user names are locked out too, on every gateway, so that a lockout does not reveal which accounts exist
//! (decision 0024).

use super::{Identifier, TokenError};
use guarita_core::{Timestamp, random};
use guarita_kv::Encryption;
use guarita_store::name_failures::SLOTS;
use guarita_store::{Store, UnknownName};

/// The name of the secret that all gateways on one database share for this.
const SECRET: &str = "unknown names";

/// Digests of unknown names: keyed, so that nobody else can compute them, and the same on every gateway on one
/// database.
#[derive(Debug)]
pub struct UnknownAccounts {
    seal: Encryption,
}

impl UnknownAccounts {
    /// Creates it with the secret shared by all gateways on this database.
    ///
    /// # Errors
    /// The database or the system's random source failed.
    pub async fn open(store: &Store, now: Timestamp) -> Result<Self, TokenError> {
        let candidate = random::token()?;
        let mut transaction = store.begin_write().await?;
        let secret = transaction.shared_secret(SECRET, &candidate, now).await?;
        transaction.commit().await?;
        Ok(Self { seal: Encryption::new(&secret) })
    }

    /// The digest of a name.
    pub(super) fn find(&self, name: &Identifier) -> UnknownName {
        let folded = name.folded();
        let kind = if folded.contains('@') { "address" } else { "name" };
        let digest = self.seal.name(kind, &folded);
        let slot = digest
            .bytes()
            .fold(0_u32, |slot, byte| slot.wrapping_mul(31).wrapping_add(u32::from(byte)))
            % SLOTS;
        UnknownName { slot, digest }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use guarita_store::sample;
    use guarita_store::sample::NOW;

    #[tokio::test]
    async fn every_gateway_keeps_a_name_in_one_place_and_names_spread() {
        let (directory, store) = sample::open().await;
        let here = UnknownAccounts::open(&store, NOW).await.unwrap();
        let other = sample::reopen(directory.path()).await;
        let there = UnknownAccounts::open(&other, NOW).await.unwrap();
        let place = |names: &UnknownAccounts, name: Identifier| {
            let found = names.find(&name);
            (found.slot, found.digest)
        };
        let name = || Identifier::Username("Nobody".into());
        assert_eq!(place(&here, name()), place(&there, name()));
        for same in ["nobody", "NOBODY"] {
            assert_eq!(place(&here, name()), place(&here, Identifier::Username(same.into())));
            assert_eq!(place(&here, name()), place(&here, Identifier::Email(same.into())));
        }
        let address = || Identifier::Email("nobody@example.test".into());
        for same in ["Nobody@example.test", "ｎobody@example.test", "nobody＠example.test"] {
            assert_eq!(place(&here, address()), place(&here, Identifier::Username(same.into())));
            assert_eq!(place(&here, address()), place(&here, Identifier::Email(same.into())));
        }
        // Names are not compared so, where accounts have them.
        let wide = Identifier::Username("ｎobody".into());
        assert_ne!(place(&here, name()), place(&here, wide));
        let slots: HashSet<u32> = (0..1_000)
            .map(|number| here.find(&Identifier::Username(format!("nobody{number}"))).slot)
            .collect();
        assert!(slots.len() > 950 && slots.iter().all(|slot| *slot < SLOTS), "{}", slots.len());
    }
}
