//! `[credentials] service_api_key`

use super::super::written::Written;
use super::Reader;
use crate::live::ServiceKey;
use crate::model::{Role, Roles};

/// Longest key, in bytes.
const MOST: usize = 4096;
/// A shorter one can be guessed.
const ENOUGH: usize = 32;

const PATH: &str = "credentials.service_api_key";

/// The key, with the roles of whoever brings it.
pub(super) fn service_key(written: &Written, reader: &mut Reader<'_>) -> Option<ServiceKey> {
    let of = &written.credentials;
    let roles = roles(written, reader);
    let key = match (&of.service_api_key, &of.service_api_key_file) {
        (Some(_), Some(_)) => {
            let what = "is there twice (service_api_key or service_api_key_file, not both)";
            reader.report.problem("credentials.service_api_key_file", what);
            return None;
        }
        (Some(key), None) => key.clone(),
        (None, Some(name)) => reader.secret_file("credentials.service_api_key_file", name)?,
        (None, None) => return None,
    };
    let text = key.expose();
    if text.is_empty() || text.len() > MOST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        reader.report.problem(PATH, "must be 1 to 4096 visible ASCII characters");
        return None;
    }
    if text.len() < ENOUGH {
        let what = format_args!("has fewer than {ENOUGH} characters (openssl rand -hex 32)");
        reader.report.warning(PATH, what);
    }
    match ServiceKey::new(&key, roles) {
        Ok(key) => Some(key),
        Err(fault) => {
            reader.report.problem("credentials.service_roles", fault);
            None
        }
    }
}

fn roles(written: &Written, reader: &mut Reader<'_>) -> Roles {
    let mut roles = Vec::new();
    for (position, text) in written.credentials.service_roles.iter().flatten().enumerate() {
        match Role::parse(text) {
            Ok(role) => roles.push(role),
            Err(fault) => {
                let path = format!("credentials.service_roles[{position}]");
                reader.report.problem(&path, fault);
            }
        }
    }
    Roles::new(roles).unwrap_or_else(|fault| {
        reader.report.problem("credentials.service_roles", fault);
        Roles::none()
    })
}
