//! The source of the keys of a configuration.

use std::sync::Arc;

use crate::config::Config;
use guarita_auth::keys::{
    EarlierKeys, KeyAdministration, KeyDatabase, KeyLocation, KeySource, MasterKeys, VaultFault,
};
use guarita_auth::mail::Outbox;
use guarita_core::{Secret, time};
use guarita_store::Store;

/// The keys of a configuration.
#[derive(Debug)]
pub struct KeySets {
    /// The current keys.
    pub source: KeySource,
    /// The keys in the database, if they are kept there.
    pub vault: Option<KeyDatabase>,
}

/// Why the keys are unavailable.
#[derive(Debug, thiserror::Error)]
pub enum KeysFault {
    /// The keys in the database are invalid.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// The keys in files are invalid.
    #[error("{0}")]
    Files(String),
}

/// The keys in the database if a master key is configured, otherwise those in the data directory. Missing keys are
/// generated: here in the database, or in the data directory when the snapshot is built.
///
/// # Errors
/// The keys are invalid.
pub async fn open_keys(config: &Config, store: &Store) -> Result<KeySets, KeysFault> {
    let directory = config.data_dir.join("keys");
    let Some(vault) = open_vault(config, store).await? else {
        return Ok(KeySets { source: KeySource::Directory(directory), vault: None });
    };
    let outbox = Outbox::earlier_key(&config.data_dir);
    let outbox: Option<Secret> = outbox.map_err(|fault| KeysFault::Files(fault.to_string()))?;
    let earlier = EarlierKeys { directory, outbox };
    let now = time::now();
    let keys = vault.begin(&earlier, config.algorithm, config.publish_ahead, now).await?;
    Ok(KeySets { source: KeySource::Vault(Arc::new(keys)), vault: Some(vault) })
}

/// The keys in the database, if a master key is configured. Generates nothing.
///
/// # Errors
/// There are keys in the database, but no master key is configured.
pub async fn open_vault(config: &Config, store: &Store) -> Result<Option<KeyDatabase>, KeysFault> {
    let Some(text) = &config.master_key else {
        KeyDatabase::check_without(store).await?;
        return Ok(None);
    };
    let masters = MasterKeys::parse(text).map_err(|fault| KeysFault::Files(fault.to_string()))?;
    Ok(Some(KeyDatabase::new(store.clone(), masters)))
}

/// The administration of keys, in the database or in files.
pub fn administration(config: &Config, vault: Option<KeyDatabase>) -> KeyAdministration {
    let place = match vault {
        Some(vault) => KeyLocation::Vault(Box::new(vault)),
        None => KeyLocation::Directory(config.data_dir.join("keys")),
    };
    KeyAdministration::new(place, config.keys_settings())
}
