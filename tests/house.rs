//! The rules of the house (`ARCHITECTURE.md`), held by a plain scan of the sources.
//!
//! Each rule is a function over a path and a text. What breaks one is told as `file:line` with what
//! to mend.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use scan::{Field, Source, names};

#[path = "house/scan.rs"]
mod scan;

/// From the bottom up: each may use those before it.
const FLOORS: [&str; 7] = ["model", "rules", "adapters", "live", "services", "doors", "app"];

/// Who may name a foreign crate, tests apart. A trailing `_` stands for a family of crates.
const LANDLORDS: [(&str, &[&str]); 24] = [
    ("sqlx", &["src/adapters/store/"]),
    ("jsonwebtoken", &["src/rules/token/"]),
    ("argon2", &["src/services/login/"]),
    ("bcrypt", &["src/services/login/"]),
    ("totp_rs", &["src/services/login/"]),
    ("qrcode", &["src/services/login/"]),
    ("thread_priority", &["src/adapters/background.rs"]),
    ("csv", &["src/services/account/"]),
    ("unicode_normalization", &["src/model/email.rs"]),
    ("arc_swap", &["src/live/"]),
    (
        "axum",
        &[
            "src/doors/endpoints/",
            "src/doors/ops/",
            "src/doors/proxy/local.rs",
            "src/doors/proxy/gateway.rs",
            "src/app/cli/demo_upstream.rs",
        ],
    ),
    ("pingora_", &["src/doors/proxy/", "src/adapters/upstream/", "src/app/server/"]),
    ("clap", &["src/app/cli/"]),
    ("prometheus", &["src/adapters/telemetry/"]),
    ("notify", &["src/app/reload/"]),
    ("rcgen", &["src/app/cli/quickstart/"]),
    ("redis", &["src/adapters/ephemeral/"]),
    ("openidconnect", &["src/services/federation/"]),
    ("reqwest", &["src/services/federation/"]),
    ("lettre", &["src/adapters/mail/"]),
    ("askama", &["src/adapters/mail/", "src/doors/endpoints/pages/"]),
    ("zxcvbn", &["src/services/account/"]),
    ("listenfd", &["src/app/server/"]),
    ("sd_notify", &["src/app/server/"]),
];

/// Names that say nothing of what is inside.
const FORBIDDEN: [&str; 8] =
    ["common", "helper", "helpers", "manager", "misc", "shared", "util", "utils"];

/// Lines of a file before its tests.
const MAX_LINES: usize = 400;

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    mend: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.mend)
    }
}

fn violation(file: &str, line: usize, mend: impl Into<String>) -> Violation {
    Violation { file: file.to_owned(), line, mend: mend.into() }
}

/// The rooms of each floor in the order of its `mod.rs`, and the names that it re-exports.
#[derive(Default)]
struct Plan {
    rooms: HashMap<String, Vec<String>>,
    exports: HashMap<(String, String), String>,
}

impl Plan {
    /// Reads the `mod.rs` of one floor.
    fn add(&mut self, floor: &str, text: &str) {
        let source = Source::new(&format!("src/{floor}/mod.rs"), text);
        let rooms: Vec<String> = source.declared().map(|(_, room)| room.to_owned()).collect();
        for path in source.paths() {
            if let [room, .., name] = path.written.as_slice()
                && rooms.contains(room)
            {
                self.exports.insert((floor.to_owned(), name.clone()), room.clone());
            }
        }
        self.rooms.insert(floor.to_owned(), rooms);
    }

    /// The place of a room on its floor; of a re-exported name, that of the room it comes from.
    fn place(&self, floor: &str, name: &str) -> Option<usize> {
        let room = self.exports.get(&(floor.to_owned(), name.to_owned()));
        let room = room.map_or(name, String::as_str);
        self.rooms.get(floor)?.iter().position(|known| known == room)
    }
}

fn rank(floor: &str) -> Option<usize> {
    FLOORS.iter().position(|known| *known == floor)
}

/// A floor uses only floors below it, a room only rooms listed before it.
fn check_floors(file: &str, text: &str, plan: &Plan) -> Vec<Violation> {
    let source = Source::new(file, text);
    let Some(own) = source.module().first().filter(|own| rank(own).is_some()) else {
        return Vec::new();
    };
    let room = source.module().get(1);
    let mut found = Vec::new();
    for path in source.paths() {
        let Some(absolute) = path.absolute.as_deref() else { continue };
        let Some(floor) = absolute.first() else { continue };
        if rank(floor) > rank(own) {
            let mend = format!(
                "`{own}` must not know `{floor}`, a floor above it: move what is needed down to \
                 `{own}` or lower, or hand it in from above"
            );
            found.push(violation(file, path.line, mend));
        }
        let (Some(room), Some(name)) = (room, absolute.get(1)) else { continue };
        if floor == own && plan.place(own, name) > plan.place(own, room) {
            let mend = format!(
                "`{own}::{room}` must not know `{own}::{name}`, which comes after it in \
                 src/{own}/mod.rs: move what both need to an earlier room"
            );
            found.push(violation(file, path.line, mend));
        }
    }
    found
}

/// A foreign crate has one landlord.
fn check_landlords(file: &str, text: &str) -> Vec<Violation> {
    let source = Source::new(file, text);
    let mut found = Vec::new();
    for path in source.paths().iter().filter(|path| !source.is_test(path.line)) {
        let Some(first) = path.written.first() else { continue };
        let landlord = LANDLORDS.iter().find(|(tenant, _)| match tenant.strip_suffix('_') {
            Some(_) => first.starts_with(tenant),
            None => first == tenant,
        });
        let Some((_, places)) = landlord.filter(|_| path.is_use || path.written.len() > 1) else {
            continue;
        };
        if !places.iter().any(|place| file.starts_with(place)) {
            let mend = format!(
                "`{first}` may be named only in {}: ask that room for what is needed",
                places.join(", ")
            );
            found.push(violation(file, path.line, mend));
        }
    }
    found
}

/// A file can be read in one sitting.
fn check_length(file: &str, text: &str) -> Vec<Violation> {
    let lines = Source::new(file, text).lines_before_tests();
    if lines <= MAX_LINES {
        return Vec::new();
    }
    let mend =
        format!("{lines} lines before the tests, at most {MAX_LINES}: split it by what it does");
    vec![violation(file, MAX_LINES + 1, mend)]
}

/// A name says what is inside.
fn check_names(file: &str, text: &str) -> Vec<Violation> {
    let forbidden = |name: &str| FORBIDDEN.contains(&name);
    let mend = |name: &str| {
        format!(
            "`{name}` says nothing of what is inside: name the thing, or move it where it is used"
        )
    };
    let of_file = names(file).filter(|name| forbidden(name)).map(|name| (1, name.to_owned()));
    let source = Source::new(file, text);
    let declared = source.declared().filter(|(_, name)| forbidden(name));
    let declared = declared.map(|(line, name)| (line, name.to_owned()));
    of_file.chain(declared).map(|(line, name)| violation(file, line, mend(&name))).collect()
}

/// `mod.rs` is a door: doc and re-exports.
fn check_doors(file: &str, text: &str) -> Vec<Violation> {
    if !file.ends_with("/mod.rs") {
        return Vec::new();
    }
    let source = Source::new(file, text);
    let mend = "`mod.rs` holds a doc and re-exports: move this to a file named after what it is";
    let logic = ["fn", "impl", "struct", "enum", "trait", "const", "static", "macro_rules"];
    source.keywords(&logic).map(|line| violation(file, line, mend)).collect()
}

/// The environment is read in one place; tests, which are told by it what they run on, apart.
fn check_environment(file: &str, text: &str) -> Vec<Violation> {
    if file.starts_with("src/app/config/") {
        return Vec::new();
    }
    let mend = "the environment is read in src/app/config only: make it a key of the configuration";
    let source = Source::new(file, text);
    let product = source.paths().iter().filter(|path| !source.is_test(path.line));
    let read = product.filter(|path| path.starts_with(&["std", "env"]));
    read.map(|path| violation(file, path.line, mend)).collect()
}

/// A test waits for a condition, not for time.
fn check_sleep(file: &str, text: &str) -> Vec<Violation> {
    let mend = "a test must not sleep: wait for the condition itself";
    let source = Source::new(file, text);
    let tests = source.paths().iter().filter(|path| source.is_test(path.line));
    let sleeps = tests.filter(|path| {
        path.ends_with(&["thread", "sleep"])
            || path.ends_with(&["time", "sleep"])
            || path.ends_with(&["time", "sleep_until"])
    });
    sleeps.map(|path| violation(file, path.line, mend)).collect()
}

/// Derives that print or send whatever is in a field.
const TELLING: [&str; 4] = ["Debug", "Display", "Error", "Serialize"];

/// Words of a name that say secret.
const SECRET: [&str; 19] = [
    "code",
    "codes",
    "cookie",
    "cpf",
    "credential",
    "credentials",
    "email",
    "key",
    "keys",
    "otp",
    "passphrase",
    "password",
    "passwords",
    "pem",
    "secret",
    "seed",
    "ticket",
    "token",
    "tokens",
];

/// Words behind these that say that it is something else about it.
const ABOUT: [&str; 6] = ["digest", "file", "files", "id", "name", "type"];

/// What holds a text as it is.
const PLAIN: [&str; 7] = ["Bytes", "Cow", "HeaderValue", "String", "Value", "str", "u8"];

/// What hides what is in it.
const HIDING: [&str; 2] = ["Cache", "Secret"];

/// Fields that say secret and are none: file, name, why.
const NO_SECRETS: [(&str, &str, &str); 6] = [
    ("src/app/cli/profile.rs", "cpf", "an argument as it was typed"),
    ("src/app/cli/user.rs", "email", "an argument as it was typed"),
    ("src/app/config/written.rs", "key", "the name of a file"),
    ("src/app/config/written/upstream.rs", "key", "the name of a file"),
    ("src/app/config/written/token.rs", "verifying_keys", "public keys"),
    ("src/live/certificates.rs", "Key", "the name of a certificate whose key is bad"),
];

/// A secret is a type that does not print itself.
fn check_secrets(file: &str, text: &str) -> Vec<Violation> {
    let excused =
        |name: &str| NO_SECRETS.iter().any(|(of, field, _)| (*of, *field) == (file, name));
    let mend = |name: &str| {
        format!("`{name}` says secret and its type prints itself: make it a `model::Secret`")
    };
    let found = plain_secrets(file, text).into_iter().filter(|field| !excused(&field.name));
    found.map(|field| violation(file, field.line, mend(&field.name))).collect()
}

/// Fields that say secret and would be printed as they are.
fn plain_secrets(file: &str, text: &str) -> Vec<Field> {
    let source = Source::new(file, text);
    let mut found = source.fields_of_types_that_derive(&TELLING);
    found.retain(|field| {
        let has = |known: &[&str]| field.words.iter().any(|word| known.contains(&word.as_str()));
        let plain = has(&PLAIN) && !has(&HIDING);
        plain && says_secret(&field.name) && !source.is_test(field.line)
    });
    found
}

/// Whether a name is that of a secret, in either way of writing.
fn says_secret(name: &str) -> bool {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            words.push('_');
        }
        words.extend(letter.to_lowercase());
    }
    let last = words.rsplit('_').next().unwrap_or_default();
    !ABOUT.contains(&last) && words.split('_').any(|word| SECRET.contains(&word))
}

/// PostgreSQL refuses a prepared `SELECT *` once a newer version has added a column (docs/decisions/0023).
fn check_columns(file: &str, text: &str) -> Vec<Violation> {
    if !text.contains("SELECT *") {
        return Vec::new();
    }
    let source = Source::new(file, text);
    let stars = text.lines().enumerate().map(|(number, line)| (number + 1, line));
    stars
        .filter(|(number, line)| line.contains("SELECT *") && !source.is_test(*number))
        .map(|(number, _)| violation(file, number, "name the columns that are read"))
        .collect()
}

fn check(file: &str, text: &str, plan: &Plan) -> Vec<Violation> {
    let mut found = check_sleep(file, text);
    found.extend(check_names(file, text));
    if file.starts_with("src/") {
        found.extend(check_floors(file, text, plan));
        found.extend(check_landlords(file, text));
        found.extend(check_length(file, text));
        found.extend(check_doors(file, text));
        found.extend(check_environment(file, text));
        found.extend(check_secrets(file, text));
        found.extend(check_columns(file, text));
    }
    found
}

/// Every Rust file below a directory, by its path from the root, in order.
fn files(root: &Path, directory: &str) -> Vec<(String, String)> {
    let mut open: Vec<PathBuf> = vec![root.join(directory)];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && let (Ok(name), Ok(text)) = (path.strip_prefix(root), fs::read_to_string(&path))
            {
                found.push((name.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_sources_keep_the_rules_of_the_house() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut plan = Plan::default();
    for floor in FLOORS {
        let door = root.join("src").join(floor).join("mod.rs");
        plan.add(floor, &fs::read_to_string(&door).unwrap());
    }
    let mut sources = files(root, "src");
    assert!(sources.len() > FLOORS.len(), "the sources were not found");
    sources.extend(files(root, "tests"));
    let broken: Vec<String> = sources
        .iter()
        .flat_map(|(file, text)| check(file, text, &plan))
        .map(|violation| violation.to_string())
        .collect();
    assert!(broken.is_empty(), "{} rules broken:\n{}\n", broken.len(), broken.join("\n"));
}

/// The tests that a row of the matrix names: `` `file::name` ``.
fn named_tests(row: &str) -> Vec<(&str, &str)> {
    let quoted = row.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| text.split_once("::")).collect()
}

/// Whether a file of that name, with or without a folder, has a test of that name.
fn has_test(sources: &[(String, String)], file: &str, name: &str) -> bool {
    let mut files = sources.iter().filter(|(path, _)| {
        Path::new(path).file_stem().is_some_and(|stem| stem.to_string_lossy() == file)
    });
    files.any(|(_, text)| {
        let lines: Vec<&str> = text.lines().collect();
        let found = lines.iter().position(|line| line.contains(&format!("fn {name}(")));
        found.is_some_and(|at| {
            let attributes = lines.iter().take(at).rev().take(3);
            attributes
                .map(|line| line.trim())
                .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
        })
    })
}

#[test]
fn every_fault_of_the_matrix_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let matrix = fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let mut sources = files(root, "src");
    sources.extend(files(root, "tests"));
    let rows: Vec<&str> = matrix.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() > 20);
    for row in rows {
        let tests = named_tests(row);
        assert!(!tests.is_empty(), "no test shows: {row}");
        for (file, name) in tests {
            assert!(has_test(&sources, file, name), "there is no test {file}::{name}: {row}");
        }
    }
    assert!(!has_test(&sources, "postgres", "a_test_that_nobody_wrote"));
    assert!(!has_test(&sources, "house", "has_test"));
}

#[test]
fn a_statement_that_reads_whatever_there_is_is_found() {
    let text = "const A: &str = \"SELECT * FROM users\";\n#[cfg(test)]\nmod tests {\n    \
                const B: &str = \"SELECT * FROM users\";\n}\n";
    assert_eq!(lines(&check_columns("src/adapters/store/x.rs", text)), [1]);
}

/// The lines that a rule tells.
fn lines(found: &[Violation]) -> Vec<usize> {
    found.iter().map(|violation| violation.line).collect()
}

fn plan() -> Plan {
    let mut plan = Plan::default();
    plan.add("services", "pub mod session;\npub mod login;\npub use login::Attempt;\n");
    plan
}

#[test]
fn a_floor_that_looks_up_is_found() {
    let text = "use crate::model::Code;\nuse crate::{\n    model,\n    doors::proxy::Gateway,\n};\n\
                fn f() { crate::app::run() }\n";
    assert_eq!(lines(&check_floors("src/services/login/mod.rs", text, &plan())), [4, 6]);
    assert_eq!(lines(&check_floors("src/app/mod.rs", text, &plan())), []);
    let climbing = "use super::super::super::doors::X;\n";
    assert_eq!(lines(&check_floors("src/services/login/attempt.rs", climbing, &plan())), [1]);
    let told = check_floors("src/rules/x.rs", "use crate::live::Live;", &plan());
    assert!(told.first().unwrap().to_string().starts_with("src/rules/x.rs:1: `rules` must not"));
}

#[test]
fn a_room_that_looks_ahead_is_found() {
    for text in [
        "use crate::services::login::Attempt;",
        "use crate::services::{login};",
        "use crate::services::Attempt;",
        "use super::super::login;",
        "mod tests { use super::super::super::login::Attempt; }",
    ] {
        assert_eq!(lines(&check_floors("src/services/session/feed.rs", text, &plan())), [1]);
        assert_eq!(lines(&check_floors("src/services/login/attempt.rs", text, &plan())), []);
    }
    let back = "use crate::services::session::Registry; mod tests { use super::super::lockout; }";
    assert_eq!(lines(&check_floors("src/services/login/attempt.rs", back, &plan())), []);
}

#[test]
fn comments_and_texts_are_not_code() {
    let text = "//! [`crate::app::x`]\n/* use crate::app; /* sqlx::query */ */\n\
                const A: &str = \"crate::app::x\\\" sqlx::query\";\nconst B: &str = r#\"sqlx::\"#;\n\
                fn f<'a>(x: &'a str) -> char { '\"' }\nuse sqlx::query;\n";
    assert_eq!(lines(&check_floors("src/model/x.rs", text, &plan())), []);
    assert_eq!(lines(&check_landlords("src/model/x.rs", text)), [6]);
}

#[test]
fn a_crate_outside_its_landlord_is_found() {
    assert_eq!(lines(&check_landlords("src/model/x.rs", "\nuse sqlx;")), [2]);
    assert_eq!(lines(&check_landlords("src/services/x.rs", "fn f() { sqlx::query(1) }")), [1]);
    assert_eq!(
        lines(&check_landlords("src/model/x.rs", "#[derive(sqlx::FromRow)]\nstruct X;")),
        [1]
    );
    assert_eq!(
        lines(&check_landlords("src/doors/endpoints/x.rs", "use pingora_core::Result;")),
        [1]
    );
    assert_eq!(lines(&check_landlords("src/doors/proxy/gateway.rs", "use axum::Router;")), []);
    assert_eq!(lines(&check_landlords("src/adapters/store/x.rs", "use sqlx::query;")), []);
    // A variable, a field and a room of the same name are no crates.
    let others = "fn f(notify: X) { notify.go(); self.notify.go(); super::notify::go() }";
    assert_eq!(lines(&check_landlords("src/model/x.rs", others)), []);
    // Tests may name what they need.
    let tests = "fn f() {}\n#[cfg(test)]\nmod tests {\n    use rcgen::KeyPair;\n}\n";
    assert_eq!(lines(&check_landlords("src/live/certificates.rs", tests)), []);
    assert_eq!(
        lines(&check_landlords("src/live/certificates/tests.rs", "use rcgen::KeyPair;")),
        []
    );
}

#[test]
fn a_file_that_is_too_long_is_found() {
    let long = "fn f() {}\n".repeat(MAX_LINES);
    assert_eq!(check_length("src/model/x.rs", &long), []);
    let tests = format!("{long}#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert_eq!(check_length("src/model/x.rs", &tests), []);
    assert_eq!(lines(&check_length("src/model/x.rs", &format!("{long}\n"))), [MAX_LINES + 1]);
}

#[test]
fn a_name_that_says_nothing_is_found() {
    assert_eq!(lines(&check_names("src/model/utils.rs", "")), [1]);
    assert_eq!(lines(&check_names("src/common/x.rs", "")), [1]);
    assert_eq!(lines(&check_names("src/model/x.rs", "\nmod helpers {}\npub mod manager;")), [2, 3]);
    assert_eq!(lines(&check_names("src/model/clock.rs", "let utils = 1; mod tests {}")), []);
}

#[test]
fn a_door_with_logic_is_found() {
    let text = "//! A fn.\npub mod a;\npub use a::A;\n";
    assert_eq!(lines(&check_doors("src/model/mod.rs", text)), []);
    assert_eq!(lines(&check_doors("src/model/mod.rs", &format!("{text}fn f() {{}}\n"))), [4]);
    assert_eq!(lines(&check_doors("src/model/x.rs", "fn f() {}")), []);
}

#[test]
fn reading_the_environment_elsewhere_is_found() {
    for text in ["use std::env;", "use std::{env, fs};", "fn f() { std::env::temp_dir(); }"] {
        assert_eq!(lines(&check_environment("src/app/cli/serve.rs", text)), [1]);
        assert_eq!(lines(&check_environment("src/app/config/environment.rs", text)), []);
    }
    assert_eq!(lines(&check_environment("src/model/x.rs", "const A: &str = env!(\"A\");")), []);
}

#[test]
fn a_test_that_sleeps_is_found() {
    let sleeps = "fn f() {\n    std::thread::sleep(x);\n    tokio::time::sleep(y);\n}\n";
    assert_eq!(lines(&check_sleep("tests/e2e/x.rs", sleeps)), [2, 3]);
    assert_eq!(lines(&check_sleep("src/services/session/feed_tests.rs", sleeps)), [2, 3]);
    assert_eq!(lines(&check_sleep("src/adapters/upstream/health.rs", sleeps)), []);
    let inside =
        format!("{sleeps}#[cfg(test)]\nmod tests {{\nuse tokio::time::{{self, sleep}};\n}}");
    assert_eq!(lines(&check_sleep("src/model/x.rs", &inside)), [7]);
}

#[test]
fn every_exception_is_needed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, name, _) in NO_SECRETS {
        let text = fs::read_to_string(root.join(file)).unwrap();
        assert!(plain_secrets(file, &text).iter().any(|field| field.name == name), "{file} {name}");
    }
}

/// logging-leak-008
#[test]
fn a_secret_that_would_print_itself_is_found() {
    let told = |text: &str| lines(&check_secrets("src/model/x.rs", text));
    for text in [
        "#[derive(Debug)] struct A { password: String }",
        "#[derive(Clone, Debug)] #[serde(x)] pub(crate) struct A { a: u8, pub(super) token: String }",
        "#[derive(Debug)] pub struct A<'a> where X: Y { id: u8, refresh_token: Option<&'a str> }",
        "#[derive(serde::Serialize)] struct A { secret: Box<str>, }",
        "#[derive(thiserror::Error)] enum A { B { ticket: Cow<'static, str> }, C }",
        "#[derive(Debug)] enum A { C, RecoveryCode(String) }",
        "#[derive(Debug)] struct SessionCookie(Vec<u8>);",
        "#[derive(Debug)] struct SessionCookie(u64, pub String);",
        "#[derive(Debug)] struct A { /** x */ #[a(b = \"}\")] signing_key: [u8; 32] }",
        "#[derive(Debug)] struct A { tokens: HashMap<String, (u8, u8)> }",
    ] {
        assert_eq!(told(text), [1], "{text}");
    }
    for text in [
        "struct A { password: String }",
        "#[derive(Clone)] struct A { password: String }",
        "#[derive(Clone)] struct A;\nstruct B { password: String }",
        "#[derive(Debug)] fn f() {} struct B { password: String }",
        "#[derive(Debug)] struct A { password: Secret, token: Option<Secret> }",
        "#[derive(Debug)] struct A { name: String, token_file: String, coder: String }",
        "#[derive(Debug)] struct A { tokens: Cache<Box<str>, X>, credentials: (String, Secret) }",
        "#[derive(Debug)] enum A { Token { id: u64 }, Totp(Secret), Name(String) }",
        "#[cfg(test)]\nmod tests {\n#[derive(Debug)] struct A { password: String }\n}",
    ] {
        assert_eq!(told(text), [], "{text}");
    }
    let both = "#[derive(Debug)]\nstruct A {\n a: String,\n token: String,\n b: Map<String, X>,\n \
                code: &'a str,\n}\n";
    assert_eq!(told(both), [4, 6]);
}
