//! Environment variables: `GUARITA_SECTION__KEY` for every key, and the names used by the systems that
//! Guarita replaces. Messages never contain values.

use toml::{Table, Value};

use super::document::parse_value;
use super::report::{ConfigReport, closest};
use super::schema::{find, follow, schema};
use crate::config::environment::variables::Variables;

pub(crate) mod variables;
mod inherited;

pub(super) use inherited::apply as apply_inherited;

/// Prefix of Guarita's own variables.
const PREFIX: &str = "GUARITA_";

/// The variables of this process, without those that are not UTF-8.
pub(super) fn variables() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Overrides values of the file by every `GUARITA_SECTION__KEY`.
pub(super) fn apply(variables: &Variables, document: &mut Table, report: &mut ConfigReport) {
    for (name, text) in variables {
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        if is_set_by_kubernetes(key) {
            continue;
        }
        let key = key.to_ascii_lowercase();
        // Shorter than its section would have it.
        let key = match key.strip_prefix("master_key") {
            Some(rest) => format!("store__master_key{rest}"),
            None => key,
        };
        let names: Vec<&str> = key.split("__").collect();
        let Some(node) = find(names.iter().copied()).filter(|_| *name == name.to_ascii_uppercase())
        else {
            unknown(name, report);
            continue;
        };
        let path = names.join(".");
        report.places.override_with(&path, name);
        match read(follow(node), text) {
            Some(value) => insert(document, &names, value),
            None => report.problem_with_hint(
                &path,
                "is not a valid TOML value",
                "lists and tables are written as in the file",
            ),
        }
    }
}

fn unknown(name: &str, report: &mut ConfigReport) {
    let mut known = Vec::new();
    list(schema(), PREFIX, &mut known);
    let origin = format!("environment {name}");
    match closest(name, known.iter().map(String::as_str)) {
        Some(meant) => {
            report.problem_with(
                &origin,
                format_args!("does not name a known key (did you mean {meant}?)"),
            );
        }
        None => report.problem_with(&origin, "does not name a known key"),
    }
}

fn list(node: &'static serde_json::Value, prefix: &str, names: &mut Vec<String>) {
    let Some(serde_json::Value::Object(keys)) = follow(node).get("properties") else { return };
    for (key, node) in keys {
        let name = format!("{prefix}{}", key.to_ascii_uppercase());
        list(node, &format!("{name}__"), names);
        names.push(name);
    }
}

/// Whether it is a variable that Kubernetes sets in every pod if there is a service named `guarita`.
fn is_set_by_kubernetes(key: &str) -> bool {
    let port = |rest: &str| rest.is_empty() || rest.starts_with('_');
    key == "SERVICE_HOST"
        || key.strip_prefix("SERVICE_PORT").is_some_and(port)
        || key.strip_prefix("PORT").is_some_and(port)
}

/// Text is used as it is if the key is a string; everything else is parsed as TOML. Values of the wrong type are
/// kept, so that the check against the schema reports them.
fn read(node: &'static serde_json::Value, text: &str) -> Option<Value> {
    let kind = node.get("type").and_then(serde_json::Value::as_str);
    match kind {
        Some("integer" | "boolean") => {
            Some(parse_value(text).unwrap_or_else(|| Value::String(text.to_owned())))
        }
        Some("array" | "object") => parse_value(text),
        // Text, words of an enumeration, and sizes.
        _ if node.get("anyOf").is_some() => Some(match parse_value(text) {
            Some(value @ (Value::Integer(_) | Value::Boolean(_))) => value,
            _ => Value::String(text.to_owned()),
        }),
        _ => Some(Value::String(text.to_owned())),
    }
}

/// Sets the value in its table, and removes the conflicting one of `key` and `key_file`.
fn insert(table: &mut Table, names: &[&str], value: Value) {
    match names {
        [] => {}
        [key] => {
            match key.strip_suffix("_file") {
                Some(plain) => table.remove(plain),
                None => table.remove(&format!("{key}_file")),
            };
            table.insert((*key).to_owned(), value);
        }
        [key, rest @ ..] => {
            let inner = table.entry(*key).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{document, shape};
    use super::*;

    fn applied(file: &str, variables: &[(&str, &str)]) -> (Table, Vec<String>) {
        let mut report = ConfigReport::new(Path::new("a.toml"));
        let mut table = document::parse(file, &mut report).unwrap();
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        apply(&variables, &mut table, &mut report);
        shape::check(&mut table, &mut report);
        (table, report.finish().err().map(|problems| problems.0).unwrap_or_default())
    }

    const LISTENER: &str = "listeners = [{ address = \"127.0.0.1:1\" }]\n";

    #[test]
    fn variables_win_over_the_file_whatever_their_type() {
        let file = format!("{LISTENER}[store]\ndatabase_file = \"f\"\n[lockout]\nfailures = 3\n");
        let (table, problems) = applied(
            &file,
            &[
                ("GUARITA_MODE", "off"),
                ("GUARITA_ALLOW_INSECURE", "true"),
                ("GUARITA_LOCKOUT__FAILURES", "7"),
                ("GUARITA_STORE__DATABASE", "sqlite:1234"),
                ("GUARITA_MASTER_KEY", "0123456789abcdef0123456789abcdef"),
                ("GUARITA_LIMITS__BODY_BYTES", "1024"),
                ("GUARITA_TOKENS__REFRESH_ROTATION", "false"),
                ("GUARITA_LIMITS__HEADER_BYTES", "8KiB"),
                ("GUARITA_TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
                ("GUARITA_TOKENS__ISSUER", "12"),
                ("GUARITA_SERVICE_HOST", "10.0.0.1"),
                ("GUARITA_PORT_8443_TCP_ADDR", "10.0.0.1"),
                ("UNRELATED", "x"),
            ],
        );
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(table["mode"].as_str(), Some("off"));
        assert_eq!(table["allow_insecure"].as_bool(), Some(true));
        assert_eq!(table["lockout"]["failures"].as_integer(), Some(7));
        assert_eq!(table["store"]["database"].as_str(), Some("sqlite:1234"));
        assert!(table["store"].get("database_file").is_none());
        let master_key = table["store"]["master_key"].as_str();
        assert_eq!(master_key, Some("0123456789abcdef0123456789abcdef"));
        assert_eq!(table["tokens"]["refresh_rotation"].as_bool(), Some(false));
        assert_eq!(table["limits"]["body_bytes"].as_integer(), Some(1024));
        assert_eq!(table["limits"]["header_bytes"].as_str(), Some("8KiB"));
        assert_eq!(table["trusted_proxies"][0].as_str(), Some("10.0.0.0/8"));
        assert_eq!(table["tokens"]["issuer"].as_str(), Some("12"));
    }

    #[test]
    fn problems_name_the_variable_and_never_its_value() {
        let (_, problems) = applied(
            LISTENER,
            &[
                ("GUARITA_LOCKOUT__FAILURES", "77777"),
                ("GUARITA_TOKENS__REFRESH_ROTATION", "hunter2"),
                ("GUARITA_TRUSTED_PROXIES", "hunter2"),
                ("GUARITA_TOKENS__ISUER", "hunter2"),
                ("guarita_nothing", "ignored"),
            ],
        );
        assert_eq!(
            problems,
            [
                "environment GUARITA_TOKENS__ISUER: does not name a known key (did you mean GUARITA_TOKENS__ISSUER?)",
                "environment GUARITA_TRUSTED_PROXIES: trusted_proxies: is not a valid TOML value (lists and \
             tables are written as in the file)",
                "environment GUARITA_LOCKOUT__FAILURES: lockout.failures: must be 1 to 1000",
                "environment GUARITA_TOKENS__REFRESH_ROTATION: tokens.refresh_rotation: must be \"off\" or \
             \"static\" or \"rotate\"",
            ]
        );
    }
}
