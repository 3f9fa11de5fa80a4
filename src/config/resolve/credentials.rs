//! `[credentials] service_api_key`

use super::super::written::RawConfig;
use super::ConfigResolver;
use guarita_auth::snapshot::ServiceKey;
use guarita_core::Roles;

/// Longest key, in bytes.
const MOST: usize = 4096;

/// The service API key with its roles.
pub(super) fn service_key(
    written: &RawConfig,
    reader: &mut ConfigResolver<'_>,
) -> Option<ServiceKey> {
    let of = &written.credentials;
    let roles = roles(written, reader);
    let (text, file) = (of.service_api_key.as_ref(), of.service_api_key_file.as_ref());
    let (key, path) = reader.secret("credentials.service_api_key", text, file)?;
    let text = key.expose();
    if text.is_empty() || text.len() > MOST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        reader.report.problem(&path, "must be 1 to 4096 visible ASCII characters");
        return None;
    }
    reader.warn_of_guessable(&path, &key);
    match ServiceKey::new(&key, roles) {
        Ok(key) => Some(key),
        Err(fault) => {
            reader.report.problem("credentials.service_roles", fault);
            None
        }
    }
}

fn roles(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Roles {
    let path = "credentials.service_roles";
    let roles = reader.roles(path, written.credentials.service_roles.as_ref());
    Roles::new(roles).unwrap_or_else(|fault| {
        reader.report.problem(path, fault);
        Roles::none()
    })
}
