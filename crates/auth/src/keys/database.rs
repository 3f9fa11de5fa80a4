//! The keys in the database: created once, however many gateways start at the same time, and rotated there.

use std::sync::Arc;
use std::time::Duration;

use super::generate::{EarlierKeys, GeneratedKeys, first_keys};
use super::master::{MasterKeys, SealedRow};
use super::schedule::{assertions_end, tokens_end};
use guarita_core::jose::{Algorithm, KeyFault};
use guarita_core::{Secret, Timestamp};
use guarita_store as store;
use guarita_store::{KeyPurpose, Store, StoredKey, Transaction};
use guarita_telemetry::events::{KeyAlgorithmKept, KeyAnnounced, KeysMade};

/// Maximum number of keys per purpose.
pub(super) const MAX_KEYS: usize = 32;

/// Why the keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum VaultFault {
    /// The database failed.
    #[error("keys in the database: {0}")]
    Store(#[from] store::StoreError),
    /// They are encrypted with another master key.
    #[error(
        "the master key does not decrypt the keys of this database; nothing was changed (check \
         store.master_key_file and GUARITA_MASTER_KEY)"
    )]
    OtherMasterKey,
    /// They are encrypted, and no master key is configured.
    #[error(
        "the keys of this database are encrypted, but no master key is configured (set store.master_key_file \
         or GUARITA_MASTER_KEY)"
    )]
    NoMasterKey,
    /// The row was modified.
    #[error("the key {0} in the database was modified and cannot be decrypted")]
    Changed(String),
    /// A key is invalid or cannot be generated.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// The cryptographic library failed.
    #[error("a key cannot be encrypted")]
    Seal,
    /// The thread that generates keys failed.
    #[error("creating keys failed")]
    BrokeOff,
}

/// A decrypted key.
#[derive(Debug)]
pub(super) struct OpenedKey {
    pub(super) stored: StoredKey,
    pub(super) text: Secret,
}

/// All keys of the database, decrypted, in the order in which they sign.
#[derive(Debug)]
pub struct OpenedKeys(Vec<OpenedKey>);

impl OpenedKeys {
    pub(super) fn of(&self, purpose: KeyPurpose) -> impl DoubleEndedIterator<Item = &OpenedKey> {
        self.0.iter().filter(move |key| key.stored.purpose == purpose)
    }

    /// The secret of the outbox key.
    pub fn outbox(&self) -> Option<&Secret> {
        self.of(KeyPurpose::Outbox).next_back().map(|key| &key.text)
    }

    /// Whether both were read from the same rows.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let rows = |of: &Self| of.0.iter().map(|key| key.stored.clone()).collect::<Vec<_>>();
        rows(self) == rows(other)
    }
}

/// What happens to older keys when a new one is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// They verify as long as anything that they signed may be valid.
    Verify,
    /// They are void at once.
    Void,
}

/// Why no key was added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdded {
    /// Another key is announced.
    #[error("the key {0} is announced and signs from {when}: one change at a time", when = .1.rfc3339())]
    Announced(String, Timestamp),
    /// The key exists already.
    #[error("the key {0} already exists")]
    Known(String),
    /// There are too many keys.
    #[error("there are {MAX_KEYS} keys already: older ones expire automatically")]
    TooMany,
    /// Rotation is not due yet.
    #[error("the newest key is not due for rotation")]
    NotDue,
}

/// The keys in the database, encrypted with master keys.
#[derive(Clone, Debug)]
pub struct KeyDatabase {
    store: Store,
    masters: Arc<MasterKeys>,
}

impl KeyDatabase {
    /// Creates it for a store and the configured master keys.
    pub fn new(store: Store, masters: MasterKeys) -> Self {
        Self { store, masters: Arc::new(masters) }
    }

    /// Fails if the database has encrypted keys but no master key is configured: keys from files would replace them, and
    /// everything that was signed would be void.
    ///
    /// # Errors
    /// See above; or the database failed.
    pub async fn check_without(store: &Store) -> Result<(), VaultFault> {
        let keys = store.read().await?.list_keys().await?;
        if keys.is_empty() { Ok(()) } else { Err(VaultFault::NoMasterKey) }
    }

    /// All keys, decrypted.
    ///
    /// # Errors
    /// The database failed, or no master key decrypts them.
    pub async fn read(&self) -> Result<OpenedKeys, VaultFault> {
        self.open(self.store.read().await?.list_keys().await?)
    }

    /// All keys. If there are none of a purpose, those from the files are imported or new ones generated; if several
    /// gateways start at once, one does so. A change of `algorithm` causes a rotation.
    ///
    /// # Errors
    /// As [`KeyDatabase::read`]; or a file is invalid.
    pub async fn begin(
        &self,
        files: &EarlierKeys,
        algorithm: Algorithm,
        publish_ahead: Duration,
        now: Timestamp,
    ) -> Result<OpenedKeys, VaultFault> {
        let mut keys = self.read().await?;
        for purpose in KeyPurpose::ALL {
            if keys.of(purpose).next().is_some() {
                continue;
            }
            let files = files.clone();
            let made =
                tokio::task::spawn_blocking(move || first_keys(purpose, &files, algorithm, now));
            let drafts = made.await.map_err(|_| VaultFault::BrokeOff)??;
            let mut transaction = self.store.begin_write().await?;
            if transaction.claim_key_set(purpose, now).await? {
                for draft in &drafts {
                    self.insert(&mut transaction, draft, now).await?;
                }
                transaction.commit().await?;
                KeysMade { purpose: purpose.as_str(), count: drafts.len() }.emit();
            }
        }
        keys = self.read().await?;
        let newest = keys.of(KeyPurpose::Token).rfind(|key| key.stored.signs_from.is_some());
        if newest.is_some_and(|key| key.stored.algorithm != algorithm.as_str()) {
            let signs_from = now.plus(publish_ahead);
            let draft = generate(KeyPurpose::Token, algorithm, signs_from).await?;
            match self.add(draft, Before::Verify, None, now).await? {
                Ok(_) => KeyAnnounced::Algorithm(algorithm.as_str()).emit(),
                Err(why) => KeyAlgorithmKept { why }.emit(),
            }
            keys = self.read().await?;
        }
        Ok(keys)
    }

    /// Adds a key and sets the expiry of older ones; returns from when it signs. The start is unique to the second if
    /// older keys are kept, because otherwise it would be unclear which key is newer. With `unless_younger` it is added
    /// only if the newest key will have at least this age when the new one signs.
    ///
    /// # Errors
    /// The database failed, or no master key opens what is there.
    pub(super) async fn add(
        &self,
        mut draft: GeneratedKeys,
        before: Before,
        unless_younger: Option<Duration>,
        now: Timestamp,
    ) -> Result<Result<Option<Timestamp>, NotAdded>, VaultFault> {
        let purpose = draft.purpose;
        let mut transaction = self.store.begin_write().await?;
        transaction.hold_key_set(purpose, now).await?;
        transaction.prune_keys(now).await?;
        let keys = self.open(transaction.list_keys().await?)?;
        if let Some(why) = refuse(&keys, &draft, before, unless_younger, now) {
            return Ok(Err(why));
        }
        let newest = keys.of(purpose).filter_map(|key| key.stored.signs_from).max();
        // Where all others go, one that is announced among them, the new one has none to come after.
        let newest = newest.filter(|_| before == Before::Verify);
        let second = newest.map(|newest| newest.plus(Duration::from_secs(1)));
        draft.signs_from =
            draft.signs_from.map(|from| second.map_or(from, |second| from.max(second)));
        self.insert(&mut transaction, &draft, now).await?;
        if let Some(signs_from) = draft.signs_from {
            match before {
                Before::Verify => {
                    let end = match purpose {
                        KeyPurpose::Token | KeyPurpose::Outbox => tokens_end(signs_from),
                        KeyPurpose::Assertion => assertions_end(signs_from),
                    };
                    let newest = keys.of(purpose).rfind(|key| key.stored.signs_from.is_some());
                    let newest = newest.map(|key| &*key.stored.id);
                    transaction.retire_keys(purpose, &draft.id, newest, end, now).await?;
                }
                Before::Void => transaction.remove_keys(purpose, &draft.id, now).await?,
            }
        }
        transaction.commit().await?;
        Ok(Ok(draft.signs_from))
    }

    /// Removes a key if `may_go`; returns whether it did. If it was the newest, the previous one continues to sign.
    ///
    /// # Errors
    /// The database failed, or no master key opens what is there.
    pub(super) async fn remove(
        &self,
        id: &str,
        may_go: impl FnOnce(&OpenedKeys) -> bool,
        now: Timestamp,
    ) -> Result<bool, VaultFault> {
        let mut transaction = self.store.begin_write().await?;
        for purpose in KeyPurpose::ALL {
            transaction.hold_key_set(purpose, now).await?;
        }
        let keys = self.open(transaction.list_keys().await?)?;
        let found = keys.0.iter().find(|key| key.stored.id == id);
        let Some(found) = found.filter(|_| may_go(&keys)) else { return Ok(false) };
        let mut others = keys.of(found.stored.purpose).filter(|key| key.stored.id != id);
        let last = others.rfind(|key| key.stored.signs_from.is_some());
        transaction.remove_key(id, last.map(|key| &*key.stored.id), now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Removes expired keys.
    ///
    /// # Errors
    /// The database failed.
    pub(super) async fn prune(&self, now: Timestamp) -> Result<(), VaultFault> {
        let over = |key: &StoredKey| key.verifies_until.is_some_and(|until| until <= now);
        if !self.store.read().await?.list_keys().await?.iter().any(over) {
            return Ok(());
        }
        let mut transaction = self.store.begin_write().await?;
        transaction.prune_keys(now).await?;
        Ok(transaction.commit().await?)
    }

    /// Re-encrypts all keys with the first master key; returns how many were encrypted with another one.
    ///
    /// # Errors
    /// The database failed, or no master key opens what is there.
    pub async fn reseal(&self, now: Timestamp) -> Result<usize, VaultFault> {
        let first = self.masters.first().ok_or(VaultFault::Seal)?;
        let mut transaction = self.store.begin_write().await?;
        for purpose in KeyPurpose::ALL {
            transaction.hold_key_set(purpose, now).await?;
        }
        let keys = self.open(transaction.list_keys().await?)?;
        let mut count = 0;
        for OpenedKey { stored, text } in keys.0.iter().filter(|key| key.stored.sealed_by != first)
        {
            let sealed = self.masters.seal(first, &row(stored), text);
            let sealed = sealed.map_err(|_| VaultFault::Seal)?;
            transaction.reseal_key(&stored.id, &sealed, first, now).await?;
            count += 1;
        }
        transaction.commit().await?;
        Ok(count)
    }

    fn open(&self, stored: Vec<StoredKey>) -> Result<OpenedKeys, VaultFault> {
        let mut keys = Vec::with_capacity(stored.len());
        for stored in stored {
            if !self.masters.knows(&stored.sealed_by) {
                return Err(VaultFault::OtherMasterKey);
            }
            let text = self.masters.open(&stored.sealed_by, &row(&stored), &stored.sealed);
            let text = text.map_err(|_| VaultFault::Changed(stored.id.clone()))?;
            keys.push(OpenedKey { stored, text });
        }
        Ok(OpenedKeys(keys))
    }

    /// Uses the master key that the newest key is encrypted with: during a change of master keys, every gateway has
    /// this one.
    async fn insert(
        &self,
        transaction: &mut Transaction,
        draft: &GeneratedKeys,
        now: Timestamp,
    ) -> Result<(), VaultFault> {
        let present = transaction.list_keys().await?;
        let newest = present.iter().max_by_key(|key| key.created_at);
        let by = newest.map(|key| &*key.sealed_by).or(self.masters.last());
        let by = by.ok_or(VaultFault::Seal)?;
        let row = SealedRow { purpose: draft.purpose, id: &draft.id, algorithm: draft.algorithm };
        let sealed = self.masters.seal(by, &row, &draft.text);
        let key = StoredKey {
            id: draft.id.clone(),
            purpose: draft.purpose,
            algorithm: draft.algorithm.to_owned(),
            sealed: sealed.map_err(|_| VaultFault::OtherMasterKey)?,
            sealed_by: by.to_owned(),
            signs_from: draft.signs_from,
            verifies_until: draft.verifies_until,
            created_at: now,
        };
        Ok(transaction.insert_key(&key, now).await?)
    }
}

/// Generates a key on a blocking thread, because an RSA key takes a while.
pub(super) async fn generate(
    purpose: KeyPurpose,
    algorithm: Algorithm,
    signs_from: Timestamp,
) -> Result<GeneratedKeys, VaultFault> {
    let made = tokio::task::spawn_blocking(move || {
        GeneratedKeys::generate(purpose, algorithm, signs_from)
    });
    Ok(made.await.map_err(|_| VaultFault::BrokeOff)??)
}

fn refuse(
    keys: &OpenedKeys,
    draft: &GeneratedKeys,
    before: Before,
    unless_younger: Option<Duration>,
    now: Timestamp,
) -> Option<NotAdded> {
    // Of whatever purpose: no key is for two.
    if keys.0.iter().any(|key| key.stored.id == draft.id) {
        return Some(NotAdded::Known(draft.id.clone()));
    }
    if before == Before::Void {
        return None;
    }
    let present: Vec<_> = keys.of(draft.purpose).map(|key| &key.stored).collect();
    let newest = present.iter().rev().find(|key| key.signs_from.is_some());
    let newest = newest.and_then(|key| Some((key.id.clone(), key.signs_from?)));
    if let (Some((id, from)), Some(signs_from)) = (newest, draft.signs_from) {
        if from > now {
            return Some(NotAdded::Announced(id, from));
        }
        if unless_younger.is_some_and(|age| from.plus(age) > signs_from) {
            return Some(NotAdded::NotDue);
        }
    }
    (present.len() >= MAX_KEYS).then_some(NotAdded::TooMany)
}

fn row(stored: &StoredKey) -> SealedRow<'_> {
    SealedRow { purpose: stored.purpose, id: &stored.id, algorithm: &stored.algorithm }
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
