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
    /// Those in force now.
    pub source: KeySource,
    /// Where they are in the database.
    pub vault: Option<KeyDatabase>,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum KeysFault {
    /// Those in the database cannot be used.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// Those of files cannot.
    #[error("{0}")]
    Files(String),
}

/// The keys in the database where a master key is configured, else those in the data directory. Of the
/// first, those that are missing are made; of the second, that happens when they are compiled.
///
/// # Errors
/// They cannot be used.
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

/// The keys in the database, where a master key is configured. Nothing is made.
///
/// # Errors
/// There are some and no master key.
pub async fn open_vault(config: &Config, store: &Store) -> Result<Option<KeyDatabase>, KeysFault> {
    let Some(text) = &config.master_key else {
        KeyDatabase::check_without(store).await?;
        return Ok(None);
    };
    let masters = MasterKeys::parse(text).map_err(|fault| KeysFault::Files(fault.to_string()))?;
    Ok(Some(KeyDatabase::new(store.clone(), masters)))
}

/// For operators, wherever the keys are.
pub fn administration(config: &Config, vault: Option<KeyDatabase>) -> KeyAdministration {
    let place = match vault {
        Some(vault) => KeyLocation::Vault(Box::new(vault)),
        None => KeyLocation::Directory(config.data_dir.join("keys")),
    };
    KeyAdministration::new(place, config.keys_settings())
}
