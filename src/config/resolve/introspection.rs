//! `[introspection]`

use std::collections::HashSet;

use super::super::written::{RawConfig, RawIntrospectionClient};
use super::ConfigResolver;
use guarita_auth::snapshot::IntrospectionClients;
use guarita_auth::snapshot::introspection::IntrospectionClient;
use guarita_core::Secret;

/// Longest secret, in bytes.
const LONGEST_SECRET: usize = 4096;

/// The clients of token introspection.
pub(super) fn resolve(
    written: &RawConfig,
    reader: &mut ConfigResolver<'_>,
) -> IntrospectionClients {
    let of = &written.introspection;
    let names = of.mtls_allowed_cns.as_deref().unwrap_or_default();
    let clients = of.clients.as_deref().unwrap_or_default();
    let mut ids = HashSet::new();
    let mut known = Vec::new();
    for (position, client) in clients.iter().enumerate() {
        let path = format!("introspection.clients[{position}]");
        if !ids.insert(client.id.as_str()) {
            reader.report.problem(&format!("{path}.id"), "is a duplicate");
        }
        known.push(resolve_client(&path, client, reader));
    }
    let names = names.iter().enumerate().map(|(position, name)| {
        let path = format!("introspection.mtls_allowed_cns[{position}]");
        reader.text(&path, Some(name), "", 255)
    });
    IntrospectionClients::new(known, names.collect())
}

fn resolve_client(
    path: &str,
    client: &RawIntrospectionClient,
    reader: &mut ConfigResolver<'_>,
) -> IntrospectionClient {
    let id = reader.text(&format!("{path}.id"), Some(&client.id), "", 255);
    if id.contains(':') {
        reader.report.problem(&format!("{path}.id"), "must not contain a colon");
    }
    let first = ("secret", &client.secret, &client.secret_file);
    let further = ("further_secret", &client.further_secret, &client.further_secret_file);
    let secrets = [first, further].into_iter().filter_map(|(key, text, file)| {
        let path = format!("{path}.{key}");
        let (secret, path) = reader.secret(&path, text.as_ref(), file.as_ref())?;
        checked(&path, secret, reader)
    });
    let secrets: Vec<Secret> = secrets.collect();
    if client.secret.is_none() && client.secret_file.is_none() {
        reader.report.problem(path, "has no secret (secret or secret_file)");
    }
    IntrospectionClient { id, secrets }
}

fn checked(path: &str, secret: Secret, reader: &mut ConfigResolver<'_>) -> Option<Secret> {
    if !(1..=LONGEST_SECRET).contains(&secret.expose().len()) {
        reader.report.problem(path, format_args!("must be 1 to {LONGEST_SECRET} bytes"));
        return None;
    }
    reader.warn_of_guessable(path, &secret);
    Some(secret)
}
