//! Tokens of links at rest in the outbox: AES-256-GCM, bound to their mail.
//!
//! A link must wait for the mail server, so its token rests somewhere. The key is in a file beside
//! the database (decision 0008): who gets the database alone cannot use what waits in it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::{Secret, random};
use crate::services::grant::Fault;

/// Length of a key file that we made, in bytes.
const LENGTH: u64 = 43;

/// The key of the outbox.
pub struct OutboxKey {
    id: String,
    key: LessSafeKey,
}

impl fmt::Debug for OutboxKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OutboxKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl OutboxKey {
    /// Reads the key in the file, which is made with mode 0600 where it is missing.
    pub fn load(path: &Path) -> Result<Self, Fault> {
        let told = |error: io::Error| Fault(format!("{}: {error}", path.display()));
        let secret = match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(path).map_err(told)?;
                read(path).map_err(told)?
            }
            other => other.map_err(told)?,
        };
        Self::derive(&secret)
    }

    /// From a secret of at least 256 bits.
    pub fn derive(secret: &Secret) -> Result<Self, Fault> {
        let derived = Salt::new(HKDF_SHA256, b"guarita").extract(secret.expose().as_bytes());
        let derive = || {
            let key = UnboundKey::from(derived.expand(&[b"outbox encryption"], &AES_256_GCM)?);
            let mut id = [0; 32];
            derived.expand(&[b"outbox key id"], HKDF_SHA256)?.fill(&mut id)?;
            Ok(Self { id: URL_SAFE_NO_PAD.encode(id), key: LessSafeKey::new(key) })
        };
        derive().map_err(|Unspecified| failed())
    }

    /// Names the key, and nothing of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Encrypts the token of one mail.
    pub(super) fn seal(&self, mail: &str, token: &Secret) -> Result<String, Fault> {
        let nonce = random::bytes::<NONCE_LEN>()?;
        let mut text = token.expose().as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::from(&nonce), aad(mail), &mut text)
            .map_err(|Unspecified| failed())?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &text].concat()))
    }

    /// Decrypts it; a fault where it is another mail's or the key another.
    pub(super) fn open(&self, mail: &str, sealed: &str) -> Result<Secret, Fault> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| failed())?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(failed)?;
        let mut text = zeroize::Zeroizing::new(text.to_vec());
        let plain = self
            .key
            .open_in_place(Nonce::from(nonce), aad(mail), &mut text)
            .map_err(|Unspecified| failed())?;
        let plain = std::str::from_utf8(plain).map_err(|_| failed())?;
        Ok(Secret::new(plain))
    }
}

fn failed() -> Fault {
    Fault("the link of a mail cannot be sealed or opened with the key at hand".into())
}

fn aad(mail: &str) -> Aad<Vec<u8>> {
    Aad::from(format!("outbox:{mail}").into_bytes())
}

fn read(path: &Path) -> io::Result<Secret> {
    let mut text = zeroize::Zeroizing::new(String::new());
    File::open(path)?.take(LENGTH + 2).read_to_string(&mut text)?;
    let secret = Secret::new(text.trim_end());
    let whole = u64::try_from(secret.expose().len()).is_ok_and(|length| length == LENGTH);
    if whole { Ok(secret) } else { Err(io::Error::other("is no key of the outbox")) }
}

/// Written beside and linked to its name: it appears whole, and of two processes one makes it.
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
    fn a_token_opens_for_its_mail_and_under_its_key_only() {
        let key = |text: &str| OutboxKey::derive(&Secret::new(text)).unwrap();
        let (one, other) = (key("one"), key("other"));
        let token = Secret::new("id.secret");
        let sealed = one.seal("mail", &token).unwrap();
        assert!(!sealed.contains("secret"));
        assert_ne!(sealed, one.seal("mail", &token).unwrap());
        assert_eq!(one.open("mail", &sealed).unwrap(), token);
        assert!(one.open("another", &sealed).is_err());
        assert!(other.open("mail", &sealed).is_err());
        assert!(one.open("mail", "AA").is_err());
        assert_ne!(one.id(), other.id());
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/outbox.key");
        let id = OutboxKey::load(&path).unwrap().id().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(OutboxKey::load(&path).unwrap().id(), id);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::write(&path, "short").unwrap();
        assert!(OutboxKey::load(&path).is_err());
    }
}
