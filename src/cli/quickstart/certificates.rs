//! A development CA and a certificate for `localhost`, created on this machine and kept.

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use guarita_core::{Timestamp, time};
use guarita_proxy::listener::certificates::validity;

/// Lifetime of a certificate, in days.
const DAYS: u64 = 365;
/// A certificate is renewed so many days before it expires.
const RENEWAL: u64 = 30;
const DAY: u64 = 86_400;

/// Why the certificate could not be created.
#[derive(Debug, thiserror::Error)]
pub enum QuickstartCertificateError {
    /// A file cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The certificate cannot be created.
    #[error("the development certificate cannot be created: {0}")]
    Made(#[from] rcgen::Error),
}

/// Creates `ca.pem`, `cert.pem` and `key.pem` in the directory unless they exist and are valid for
/// another month. The CA's key is not kept: nobody can sign with it later.
pub fn ensure(directory: &Path) -> Result<(), QuickstartCertificateError> {
    if is_current(directory, time::now()) {
        return Ok(());
    }
    let authority = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Guarita development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    limit(&mut params);
    let ca = params.self_signed(&authority)?;
    let issuer = Issuer::new(params, authority);

    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.subject_alt_names.extend([
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    limit(&mut params);
    let certificate = params.signed_by(&key, &issuer)?;

    write(&directory.join("key.pem"), key.serialize_pem().as_bytes(), 0o600)?;
    write(&directory.join("cert.pem"), certificate.pem().as_bytes(), 0o644)?;
    write(&directory.join("ca.pem"), ca.pem().as_bytes(), 0o644)?;
    Ok(())
}

fn limit(params: &mut CertificateParams) {
    let now = std::time::Duration::from_secs(u64::try_from(time::now().seconds()).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now - std::time::Duration::from_secs(DAY);
    params.not_after = epoch + now + std::time::Duration::from_secs(DAYS * DAY);
}

fn is_current(directory: &Path, now: Timestamp) -> bool {
    let present = ["ca.pem", "key.pem"].iter().all(|name| directory.join(name).is_file());
    let soon = now.plus(std::time::Duration::from_secs(RENEWAL * DAY));
    present
        && fs::read(directory.join("cert.pem"))
            .ok()
            .and_then(|chain| validity(&chain))
            .is_some_and(|validity| validity.until > soon)
}

pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_second_start_keeps_the_certificate() {
        let directory = tempfile::tempdir().unwrap();
        ensure(directory.path()).unwrap();
        let first = fs::read(directory.path().join("cert.pem")).unwrap();
        ensure(directory.path()).unwrap();
        assert_eq!(fs::read(directory.path().join("cert.pem")).unwrap(), first);
        let mode = fs::metadata(directory.path().join("key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_certificate_is_renewed_before_its_end() {
        let directory = tempfile::tempdir().unwrap();
        ensure(directory.path()).unwrap();
        let in_eleven_months = time::now().plus(std::time::Duration::from_secs(340 * DAY));
        assert!(is_current(directory.path(), time::now()));
        assert!(!is_current(directory.path(), in_eleven_months));
    }
}
