//! Encryption of link tokens in the outbox.
//!
//! A mail waits for the mail server, so the token of its link must be stored. The key is in a file outside the
//! database (decision 0008): who gets the database alone cannot use the links.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::grant::TokenError;
use crate::keys::{SealingKey, Unopened};
use guarita_core::{Secret, random};

/// Length of a generated key file, in bytes.
const LENGTH: u64 = 43;

/// The key of the outbox.
#[derive(Debug)]
pub struct OutboxKey(SealingKey);

impl OutboxKey {
    /// Reads the key from the file, which is created with mode 0600 if missing.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let told = |error: io::Error| TokenError(format!("{}: {error}", path.display()));
        let secret = match Self::kept(path)? {
            Some(secret) => secret,
            None => {
                make(path).map_err(told)?;
                read(path).map_err(told)?
            }
        };
        Self::derive(&secret)
    }

    /// Creates the key from a secret that is stored elsewhere.
    pub(super) fn derive(secret: &Secret) -> Result<Self, TokenError> {
        Ok(Self(SealingKey::derive("outbox", secret).map_err(failed)?))
    }

    /// The content of the file, if there is one.
    pub(super) fn kept(path: &Path) -> Result<Option<Secret>, TokenError> {
        match read(path) {
            Ok(secret) => Ok(Some(secret)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TokenError(format!("{}: {error}", path.display()))),
        }
    }

    /// The id of the key; it reveals nothing about the key.
    pub fn id(&self) -> &str {
        self.0.id()
    }

    /// Encrypts the token of one mail.
    pub(super) fn seal(&self, mail: &str, token: &Secret) -> Result<String, TokenError> {
        self.0.seal(&row(mail), token.expose().as_bytes()).map_err(failed)
    }

    /// Decrypts the token; a fault if it belongs to another mail or the key is another.
    pub(super) fn open(&self, mail: &str, sealed: &str) -> Result<Secret, TokenError> {
        let plain = self.0.open(&row(mail), sealed).map_err(failed)?;
        let plain = std::str::from_utf8(&plain).map_err(|_| failed(Unopened))?;
        Ok(Secret::new(plain))
    }
}

fn row(mail: &str) -> String {
    format!("outbox:{mail}")
}

fn failed(unopened: Unopened) -> TokenError {
    TokenError(format!("the link of a mail cannot be decrypted: {unopened}"))
}

fn read(path: &Path) -> io::Result<Secret> {
    let mut text = zeroize::Zeroizing::new(String::new());
    File::open(path)?.take(LENGTH + 2).read_to_string(&mut text)?;
    let secret = Secret::new(text.trim_end());
    let whole = u64::try_from(secret.expose().len()).is_ok_and(|length| length == LENGTH);
    if whole { Ok(secret) } else { Err(io::Error::other("is not a key of the outbox")) }
}

/// Creates the file atomically under a temporary name and links it; of two concurrent processes one wins.
fn make(path: &Path) -> io::Result<()> {
    let secret = random::token().map_err(io::Error::other)?;
    let draft = path.with_extension(format!("{}.draft", random::ordered_uuid()));
    let written = write(&draft, &secret).and_then(|()| fs::hard_link(&draft, path));
    // The draft has done its work, or is of no use.
    let _ = fs::remove_file(&draft);
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn write(path: &Path, secret: &Secret) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(secret.expose().as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/outbox.key");
        let key = OutboxKey::load(&path).unwrap();
        let sealed = key.seal("mail", &Secret::new("id.secret")).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let again = OutboxKey::load(&path).unwrap();
        assert_eq!(again.open("mail", &sealed).unwrap(), Secret::new("id.secret"));
        assert!(again.open("another", &sealed).is_err());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::write(&path, "short").unwrap();
        assert!(OutboxKey::load(&path).is_err());
    }
}
