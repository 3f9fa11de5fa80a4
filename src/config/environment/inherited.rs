//! Environment variables of the systems that Guarita replaces.

use std::net::Ipv6Addr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use toml::{Table, Value};

use super::super::report::ConfigReport;
use super::super::resolve::is_link;
use crate::config::environment::variables::Variables;

/// The check of a variable, and its error message.
type VariableBounds = (&'static str, fn(&str) -> bool, &'static str);

const BOUNDS: &[VariableBounds] = &[
    ("TOTP_ENC_KEY", |text| text.chars().count() >= 32, "must have at least 32 characters"),
    ("TOTP_REPLAY_TTL", |text| is_within(text, 60, 3600), "must be 60 to 3600 (seconds)"),
    (
        "INTROSPECTION_CLIENTS",
        are_clients,
        "must be id:secret,id:secret with at most 1000 distinct ids and no empty part",
    ),
    (
        "INTROSPECTION_MTLS_ALLOWED_CNS",
        are_names,
        "must be 1 to 1000 names separated by commas, each 1 to 255 bytes",
    ),
    (
        "AUTH_REQUIRE_VERIFIED_EMAIL",
        is_yes_or_no,
        "must be true, 1, yes or on, or false, 0, no or off (in any case)",
    ),
    ("RESET_TOKEN_TTL", |text| is_within(text, 1, 3600), "must be 1 to 3600 (seconds)"),
    (
        "EMAIL_VERIFICATION_TOKEN_TTL",
        |text| is_within(text, 1, 3600),
        "must be 1 to 3600 (seconds)",
    ),
    ("PASSWORD_RESET_URL", is_link, LINK),
    ("EMAIL_VERIFICATION_URL", is_link, LINK),
    (
        "SERVICE_API_KEY",
        |text| text.len() <= 4096 && text.bytes().all(|byte| byte.is_ascii_graphic()),
        "must be 1 to 4096 visible ASCII characters",
    ),
];

const LINK: &str = "must be an http or https URL of at most 2048 bytes, without user or fragment";

const DATABASE: [&str; 8] = [
    "DB_DRIVER",
    "DB_DATABASE",
    "DB_HOST",
    "DB_PORT",
    "DB_USERNAME",
    "DB_PASSWORD",
    "DB_SSLMODE",
    "DB_SSLROOTCERT",
];

/// The variable with the whole database URL.
const WHOLE: &str = "DATABASE_URL";

/// Checks all variables and overrides `store.database` of the file. An empty variable is treated as unset.
pub(crate) fn apply(variables: &Variables, document: &mut Table, report: &mut ConfigReport) {
    for (name, fits, bounds) in BOUNDS {
        if get(variables, name).is_some_and(|text| !fits(text)) {
            report.problem_with(&format!("environment {name}"), bounds);
        }
    }
    apply_keys(variables, document, report);
    apply_database(variables, document, report);
}

/// Converts a variable into the value of a key.
type Reading = fn(&str) -> Value;

const KEYS: [(&str, &str, &str, Reading); 10] = [
    ("INTROSPECTION_CLIENTS", "introspection", "clients", clients),
    ("INTROSPECTION_MTLS_ALLOWED_CNS", "introspection", "mtls_allowed_cns", names),
    ("SERVICE_API_KEY", "credentials", "service_api_key", text),
    ("TOTP_ENC_KEY", "mfa", "encryption_key", text),
    ("TOTP_REPLAY_TTL", "mfa", "replay_ttl", seconds),
    ("PASSWORD_RESET_URL", "recovery", "url", text),
    ("RESET_TOKEN_TTL", "recovery", "ttl", seconds),
    ("EMAIL_VERIFICATION_URL", "verification", "url", text),
    ("EMAIL_VERIFICATION_TOKEN_TTL", "verification", "ttl", seconds),
    ("AUTH_REQUIRE_VERIFIED_EMAIL", "verification", "required", yes),
];

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn seconds(text: &str) -> Value {
    Value::String(format!("{text}s"))
}

fn yes(text: &str) -> Value {
    Value::Boolean(["true", "1", "yes", "on"].iter().any(|word| text.eq_ignore_ascii_case(word)))
}

fn clients(text: &str) -> Value {
    let parts = text.split(',').filter_map(|client| client.split_once(':'));
    let client = |(id, secret): (&str, &str)| {
        let mut table = Table::new();
        table.insert("id".to_owned(), Value::String(id.trim().to_owned()));
        table.insert("secret".to_owned(), Value::String(secret.trim().to_owned()));
        Value::Table(table)
    };
    Value::Array(parts.map(client).collect())
}

fn names(text: &str) -> Value {
    Value::Array(text.split(',').map(|name| Value::String(name.trim().to_owned())).collect())
}

fn apply_keys(variables: &Variables, document: &mut Table, report: &mut ConfigReport) {
    for (variable, section, key, read) in KEYS {
        // What is out of bounds was told already.
        let fits = |value: &&str| BOUNDS.iter().any(|(of, fits, _)| *of == variable && fits(value));
        let Some(value) = get(variables, variable).filter(fits) else { continue };
        let inner = document.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(inner) = inner {
            inner.remove(&format!("{key}_file"));
            inner.insert(key.to_owned(), read(value));
            report.places.override_with(&format!("{section}.{key}"), variable);
        }
    }
}

fn get<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
    variables.get(name).map(String::as_str).filter(|text| !text.is_empty())
}

fn apply_database(variables: &Variables, document: &mut Table, report: &mut ConfigReport) {
    let is_set = |name: &&&str| get(variables, name).is_some();
    let parts = DATABASE.iter().find(is_set);
    let whole = Some(&WHOLE).filter(is_set);
    let Some(variable) = parts.or(whole) else { return };
    for name in ["GUARITA_STORE__DATABASE", "GUARITA_STORE__DATABASE_FILE"] {
        if variables.contains_key(name) {
            let what = format!("conflicts with the variable {variable} (set only one of them)");
            report.problem_with(&format!("environment {name}"), &what);
            return;
        }
    }
    let database = match (parts, get(variables, WHOLE)) {
        (Some(part), Some(_)) => {
            let what = format!("conflicts with the variable {part} (set only one of them)");
            report.problem_with(&format!("environment {WHOLE}"), &what);
            return;
        }
        (None, whole) => whole.map(str::to_owned),
        (Some(_), None) => assemble_database_url(variables, report),
    };
    let Some(database) = database else { return };
    let store = document.entry("store").or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(store) = store {
        store.remove("database_file");
        store.insert("database".to_owned(), Value::String(database));
        let variable = if parts.is_some() { "DB_DATABASE" } else { WHOLE };
        report.places.override_with("store.database", variable);
    }
}

/// The database that the variables `DB_*` name.
fn assemble_database_url(variables: &Variables, report: &mut ConfigReport) -> Option<String> {
    let get = |name: &str| get(variables, name);
    if get("DB_PORT").is_some_and(|port| !is_within(port, 1, 65_535)) {
        report.problem_with("environment DB_PORT", "must be 1 to 65535");
        return None;
    }
    // The replaced systems used PostgreSQL where nothing was said.
    match get("DB_DRIVER").unwrap_or("postgres") {
        "sqlite" => {
            let path = get("DB_DATABASE").map(|path| format!("sqlite:{path}"));
            if path.is_none() {
                let what = "must be the path of the database file";
                report.problem_with("environment DB_DATABASE", what);
            }
            path
        }
        "postgres" => {
            let mut named = [("DB_USERNAME", None), ("DB_DATABASE", None)];
            for (name, value) in &mut named {
                *value = get(name).map(encode);
                if value.is_none() {
                    let what =
                        "must be set, because DB_DRIVER is postgres (or set DB_DRIVER=sqlite)";
                    report.problem_with(&format!("environment {name}"), what);
                }
            }
            let [(_, Some(user)), (_, Some(database))] = named else { return None };
            let password = get("DB_PASSWORD").map(|word| format!(":{}", encode(word)));
            let port = get("DB_PORT").unwrap_or("5432");
            let server = match get("DB_HOST").unwrap_or("localhost") {
                socket if socket.starts_with('/') => {
                    format!("{}:{port}/{database}?", encode(socket))
                }
                address if address.parse::<Ipv6Addr>().is_ok() => {
                    format!("[{address}]:{port}/{database}?")
                }
                host if is_host(host) => format!("{host}:{port}/{database}?"),
                _ => {
                    let what = "must be a host name, an address or the directory of a Unix socket";
                    report.problem_with("environment DB_HOST", what);
                    return None;
                }
            };
            let mut url = format!("postgres://{user}{}@{server}", password.unwrap_or_default());
            for (variable, name) in [("DB_SSLMODE", "sslmode"), ("DB_SSLROOTCERT", "sslrootcert")] {
                if let Some(value) = get(variable) {
                    url.push_str(&format!("{name}={}&", encode(value)));
                }
            }
            url.pop();
            Some(url)
        }
        _ => {
            report.problem_with("environment DB_DRIVER", "must be postgres or sqlite");
            None
        }
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

fn is_within(text: &str, least: u32, most: u32) -> bool {
    text.parse::<u32>().is_ok_and(|number| (least..=most).contains(&number))
}

fn is_yes_or_no(text: &str) -> bool {
    ["true", "1", "yes", "on", "false", "0", "no", "off"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

fn are_clients(text: &str) -> bool {
    let mut ids = std::collections::HashSet::new();
    text.split(',').all(|client| {
        client.split_once(':').is_some_and(|(id, secret)| {
            !id.trim().is_empty() && !secret.trim().is_empty() && ids.insert(id.trim())
        })
    }) && ids.len() <= 1000
}

fn are_names(text: &str) -> bool {
    text.split(',').count() <= 1000
        && text.split(',').all(|name| {
            (1..=255).contains(&name.trim().len()) && !name.chars().any(char::is_control)
        })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn applied(variables: &[(&str, &str)]) -> (Table, Vec<String>) {
        let mut report = ConfigReport::new(Path::new("a.toml"));
        let mut table = Table::new();
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        apply(&variables, &mut table, &mut report);
        (table, report.finish().err().map(|problems| problems.0).unwrap_or_default())
    }

    #[test]
    fn a_value_out_of_its_bounds_is_one_line_without_the_value() {
        let key = "k".repeat(31);
        let names = "a,".repeat(1001);
        for (name, value) in [
            ("TOTP_ENC_KEY", key.as_str()),
            ("TOTP_REPLAY_TTL", "59"),
            ("TOTP_REPLAY_TTL", "3601"),
            ("INTROSPECTION_CLIENTS", "gateway"),
            ("INTROSPECTION_CLIENTS", "a:hunter2,a:hunter2"),
            ("INTROSPECTION_CLIENTS", "a:,b:hunter2"),
            ("INTROSPECTION_MTLS_ALLOWED_CNS", names.as_str()),
            ("AUTH_REQUIRE_VERIFIED_EMAIL", "ture"),
            ("RESET_TOKEN_TTL", "3601"),
            ("RESET_TOKEN_TTL", "-1"),
            ("EMAIL_VERIFICATION_TOKEN_TTL", "1h"),
            ("PASSWORD_RESET_URL", "/reset"),
            ("EMAIL_VERIFICATION_URL", "javascript:alert(1)"),
            ("SERVICE_API_KEY", "hunter2 "),
            ("DB_PORT", "70000"),
        ] {
            let (_, problems) = applied(&[(name, value), ("DB_DRIVER", ""), ("DB_HOST", "")]);
            let told = problems.join("\n");
            assert!(told.starts_with(&format!("environment {name}: must ")), "{name}: {told}");
            assert!(!told.contains(value) && !told.contains("hunter2"), "{name}: {told}");
        }
    }

    #[test]
    fn values_within_their_bounds_are_taken() {
        let key = "k".repeat(32);
        let (table, problems) = applied(&[
            ("TOTP_ENC_KEY", &key),
            ("TOTP_REPLAY_TTL", "60"),
            ("INTROSPECTION_CLIENTS", "a:x,b:y:z"),
            ("INTROSPECTION_MTLS_ALLOWED_CNS", "gateway, portal"),
            ("AUTH_REQUIRE_VERIFIED_EMAIL", "YES"),
            ("RESET_TOKEN_TTL", "3600"),
            ("PASSWORD_RESET_URL", "https://app.test/reset?lang=pt"),
            ("SERVICE_API_KEY", ""),
            ("DB_DRIVER", "sqlite"),
            ("DB_DATABASE", "data/users.db"),
        ]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(table["store"]["database"].as_str(), Some("sqlite:data/users.db"));
        let introspection = &table["introspection"];
        assert_eq!(introspection["clients"][1]["id"].as_str(), Some("b"));
        assert_eq!(introspection["clients"][1]["secret"].as_str(), Some("y:z"));
        assert_eq!(introspection["mtls_allowed_cns"][1].as_str(), Some("portal"));
        assert_eq!(table["mfa"]["replay_ttl"].as_str(), Some("60s"));
        assert_eq!(table["recovery"]["ttl"].as_str(), Some("3600s"));
        assert_eq!(table["recovery"]["url"].as_str(), Some("https://app.test/reset?lang=pt"));
        assert_eq!(table["verification"]["required"].as_bool(), Some(true));
    }

    #[test]
    fn whether_addresses_must_be_proven_is_said_in_many_ways() {
        for (text, required) in [
            ("true", true),
            ("1", true),
            ("YES", true),
            ("On", true),
            ("false", false),
            ("0", false),
            ("no", false),
            ("OFF", false),
        ] {
            let (table, problems) = applied(&[("AUTH_REQUIRE_VERIFIED_EMAIL", text)]);
            assert_eq!(problems, Vec::<String>::new());
            assert_eq!(table["verification"]["required"].as_bool(), Some(required), "{text}");
        }
    }

    #[test]
    fn a_server_is_put_together_from_its_parts() {
        let user = [("DB_USERNAME", "ana:x"), ("DB_DATABASE", "a/b")];
        for (more, url) in [
            (&[][..], "postgres://ana%3Ax@localhost:5432/a%2Fb"),
            (
                &[("DB_PASSWORD", "p@ss/?#")],
                "postgres://ana%3Ax:p%40ss%2F%3F%23@localhost:5432/a%2Fb",
            ),
            (&[("DB_HOST", "::1"), ("DB_PORT", "6000")], "postgres://ana%3Ax@[::1]:6000/a%2Fb"),
            (
                &[
                    ("DB_HOST", "db.test"),
                    ("DB_SSLMODE", "verify-full"),
                    ("DB_SSLROOTCERT", "/ca.pem"),
                ],
                "postgres://ana%3Ax@db.test:5432/a%2Fb?sslmode=verify%2Dfull&sslrootcert=%2Fca%2Epem",
            ),
            (
                &[("DB_HOST", "/run/postgresql")],
                "postgres://ana%3Ax@%2Frun%2Fpostgresql:5432/a%2Fb",
            ),
        ] {
            let (table, problems) = applied(&[&user[..], more].concat());
            assert_eq!(problems, Vec::<String>::new());
            assert_eq!(table["store"]["database"].as_str(), Some(url));
        }
        let (table, _) = applied(&[("DATABASE_URL", "postgres://a@h/b")]);
        assert_eq!(table["store"]["database"].as_str(), Some("postgres://a@h/b"));
    }

    #[test]
    fn what_names_no_database_is_refused() {
        for variables in [
            &[("DB_DRIVER", "postgres"), ("DB_PASSWORD", "hunter2"), ("DB_USERNAME", "a")][..],
            &[("DB_HOST", "db.test/x"), ("DB_USERNAME", "a"), ("DB_DATABASE", "b")],
            &[("DB_HOST", "db.test"), ("DB_DATABASE", "b")],
            &[("DATABASE_URL", "postgres://a:hunter2@h/b"), ("DB_DATABASE", "b")],
            &[("DATABASE_URL", "postgres://a:hunter2@h/b"), ("GUARITA_STORE__DATABASE", "b")],
            &[("DB_DRIVER", "mysql")],
            &[("DB_DRIVER", "sqlite")],
            &[("DB_DRIVER", "sqlite"), ("DB_DATABASE", "a"), ("GUARITA_STORE__DATABASE", "b")],
        ] {
            let (_, problems) = applied(variables);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(!problems[0].contains("hunter2"), "{problems:?}");
        }
    }
}
