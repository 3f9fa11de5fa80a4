//! The rules of `ARCHITECTURE.md` that neither the compiler nor a manifest holds, held by a plain scan of the sources.
//!
//! What a crate may know stands under `[dependencies]` of its manifest. Each rule here is a function over a path and a
//! text. A violation is reported as `file:line` with how to fix it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use scan::{Field, Source, names};

#[path = "architecture/scan.rs"]
mod scan;

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

/// The environment is read in one place; tests, which are told by it what they run on, apart.
fn check_environment(file: &str, text: &str) -> Vec<Violation> {
    if file.starts_with("src/config/") {
        return Vec::new();
    }
    let mend = "the environment is read in src/config only: make it a key of the configuration";
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
const NO_SECRETS: [(&str, &str, &str); 9] = [
    ("crates/auth/src/grant/tokens.rs", "TokenError", "why no token was issued"),
    ("crates/core/src/revocation_key.rs", "RevocationKey", "a digest"),
    ("crates/telemetry/src/events/config_reload.rs", "key", "the name of a configuration key"),
    ("src/cli/profile.rs", "cpf", "an argument as it was typed"),
    ("src/cli/user.rs", "email", "an argument as it was typed"),
    ("src/config/written.rs", "key", "the name of a file"),
    ("src/config/written/upstream.rs", "key", "the name of a file"),
    ("src/config/written/token.rs", "verifying_keys", "public keys"),
    (
        "crates/proxy/src/listener/certificates.rs",
        "Key",
        "the name of a certificate whose key is bad",
    ),
];

/// A secret is a type that does not print itself.
fn check_secrets(file: &str, text: &str) -> Vec<Violation> {
    let excused =
        |name: &str| NO_SECRETS.iter().any(|(of, field, _)| (*of, *field) == (file, name));
    let mend = |name: &str| {
        format!("`{name}` says secret and its type prints itself: make it a `guarita_core::Secret`")
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

fn check(file: &str, text: &str) -> Vec<Violation> {
    let mut found = check_sleep(file, text);
    found.extend(check_names(file, text));
    if !file.starts_with("tests/") {
        found.extend(check_length(file, text));
        found.extend(check_environment(file, text));
        found.extend(check_secrets(file, text));
        found.extend(check_columns(file, text));
    }
    found
}

/// The sources of one crate, by module: what each file names of the others.
#[derive(Default)]
struct Modules {
    /// The file of each module, by its path from the crate's root.
    files: BTreeMap<Vec<String>, String>,
    /// What the files of folders (`mod.rs`) and of the crate (`lib.rs`) re-export: the path it comes from.
    exports: BTreeMap<Vec<String>, Vec<String>>,
    /// Each file with the paths that it names outside of its tests.
    named: Vec<(String, Vec<Vec<String>>)>,
}

/// Whether a file only declares modules and re-exports their names.
fn is_entry_point(file: &str) -> bool {
    file.ends_with("/mod.rs") || file.ends_with("/lib.rs")
}

impl Modules {
    fn new(sources: &[(String, String)]) -> Self {
        let mut modules = Self::default();
        for (file, text) in sources {
            let source = Source::new(file, text);
            if source.is_test(1) || file.contains("/sample") {
                continue;
            }
            let module = source.module().to_vec();
            modules.files.insert(module.clone(), file.clone());
            let product = source.paths().iter().filter(|path| !source.is_test(path.line));
            if is_entry_point(file) {
                for path in product.filter(|path| path.is_use) {
                    let Some(name) = path.written.last() else { continue };
                    let origin = path
                        .absolute
                        .clone()
                        .unwrap_or_else(|| module.iter().chain(&path.written).cloned().collect());
                    let own = module.iter().chain([name]).cloned().collect::<Vec<_>>();
                    if own != origin {
                        modules.exports.insert(own, origin);
                    }
                }
            } else {
                // A child that is declared here may be named without `self`.
                let children: BTreeSet<&str> = source.declared().map(|(_, name)| name).collect();
                let named = product.filter_map(|path| match &path.absolute {
                    Some(absolute) => Some(absolute.clone()),
                    None => path
                        .written
                        .first()
                        .filter(|first| children.contains(first.as_str()))
                        .map(|_| module.iter().chain(&path.written).cloned().collect()),
                });
                modules.named.push((file.clone(), named.collect()));
            }
        }
        modules
    }

    /// The file that a path leads into, through re-exports.
    fn file_of(&self, path: &[String]) -> Option<&str> {
        let mut path = path.to_vec();
        // As deep as re-exports may lead to each other.
        for _ in 0..8 {
            let depth = (0..=path.len()).rev().find(|depth| {
                path.get(..*depth).is_some_and(|module| self.files.contains_key(module))
            })?;
            let file = self.files.get(path.get(..depth)?)?;
            if !is_entry_point(file) {
                return Some(file);
            }
            let origin = self.exports.get(path.get(..=depth)?)?;
            path = origin.iter().chain(path.get(depth + 1..)?).cloned().collect();
        }
        None
    }

    /// What each file names of others.
    fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (file, named) in &self.named {
            let others = named.iter().filter_map(|path| self.file_of(path));
            edges.entry(file).or_default().extend(others.filter(|other| other != file));
        }
        edges
    }

    /// Files that lead to each other, each group once.
    fn circles(&self) -> Vec<Vec<&str>> {
        let edges = self.edges();
        let reach = |from: &str| {
            let mut reached: BTreeSet<&str> = BTreeSet::new();
            let mut open: Vec<&str> = edges.get(from).into_iter().flatten().copied().collect();
            while let Some(file) = open.pop() {
                if reached.insert(file) {
                    open.extend(edges.get(file).into_iter().flatten());
                }
            }
            reached
        };
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            edges.keys().map(|file| (*file, reach(file))).collect();
        let leads = |from: &str, to: &str| reached.get(from).is_some_and(|set| set.contains(to));
        let mut circles: BTreeSet<Vec<&str>> = BTreeSet::new();
        for file in edges.keys().filter(|file| leads(file, file)) {
            circles.insert(
                edges.keys().filter(|to| leads(file, to) && leads(to, file)).copied().collect(),
            );
        }
        circles.into_iter().collect()
    }
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

/// The folders with the sources of each crate.
fn crates(root: &Path) -> Vec<String> {
    let mut found = vec!["src".to_owned()];
    for entry in fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        found.push(format!("crates/{}/src", entry.file_name().to_string_lossy()));
    }
    assert!(found.len() > 1, "the crates were not found");
    found.sort();
    found
}

#[test]
fn the_sources_keep_the_rules_of_the_architecture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = files(root, "tests");
    for folder in crates(root) {
        let of_crate = files(root, &folder);
        assert!(!of_crate.is_empty(), "the sources of {folder} were not found");
        sources.extend(of_crate);
    }
    let broken: Vec<String> = sources
        .iter()
        .flat_map(|(file, text)| check(file, text))
        .map(|violation| violation.to_string())
        .collect();
    assert!(broken.is_empty(), "{} rules broken:\n{}\n", broken.len(), broken.join("\n"));
}

/// Circles that are still there, by the first file of each. One that is broken leaves this list; none comes to it.
const CIRCLES: [&str; 11] = [
    "crates/auth/src/account/import.rs
",
    "crates/auth/src/session/registry.rs
",
    "crates/auth/src/session/ticket.rs
",
    "crates/core/src/jose/key.rs
",
    "crates/mail/src/message.rs
",
    "crates/proxy/src/connection/http1.rs
",
    "crates/proxy/src/exchange/bodyless.rs
",
    "crates/proxy/src/exchange/context.rs
",
    "crates/telemetry/src/metrics.rs
",
    "crates/web/src/csrf.rs
",
    "src/config/resolve.rs
",
];

#[test]
fn no_files_of_a_crate_lead_to_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in crates(root) {
        let sources = files(root, &folder);
        let modules = Modules::new(&sources);
        found.extend(modules.circles().into_iter().map(|circle| circle.join("\n    ")));
    }
    let known = |circle: &String| CIRCLES.iter().any(|first| circle.starts_with(first));
    let new: Vec<&String> = found.iter().filter(|circle| !known(circle)).collect();
    assert!(new.is_empty(), "files that lead to each other: {new:#?}");
    assert_eq!(found.len(), CIRCLES.len(), "a circle is gone: take it off the list");
}

#[test]
fn a_circle_between_files_is_found() {
    let circles = |texts: &[(&str, &str)]| {
        let sources: Vec<_> =
            texts.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        Modules::new(&sources).circles().iter().map(Vec::len).collect::<Vec<_>>()
    };
    let root = ("crates/x/src/lib.rs", "mod a;\nmod b;\npub use a::A;\n");
    let a = ("crates/x/src/a.rs", "use crate::b::B;\npub struct A(B);\n");
    assert_eq!(circles(&[root, a, ("crates/x/src/b.rs", "pub struct B;\n")]), []);
    for text in [
        "use super::a::A;",
        "use crate::A;",
        "use crate::{A};",
        "fn f() -> crate::a::A {}",
        "use super::a;",
    ] {
        assert_eq!(circles(&[root, a, ("crates/x/src/b.rs", text)]), [2], "{text}");
    }
    // A test may look back, and a comment is no code.
    let tested = "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n//! [`crate::a::A`]\n";
    assert_eq!(circles(&[root, a, ("crates/x/src/b.rs", tested)]), []);
    let child = ("crates/x/src/a/c.rs", "use super::A;");
    let parent = ("crates/x/src/a.rs", "mod c;\nuse c::C;\npub struct A;\n");
    assert_eq!(circles(&[root, parent, child]), [2]);
    let long = [
        ("crates/x/src/lib.rs", "mod a; mod b; mod c;"),
        ("crates/x/src/a.rs", "use crate::b::B;"),
        ("crates/x/src/b.rs", "use crate::c::C;"),
        ("crates/x/src/c.rs", "use crate::a::A;"),
    ];
    assert_eq!(circles(&long), [3]);
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
    let mut sources = files(root, "tests");
    for folder in crates(root) {
        sources.extend(files(root, &folder));
    }
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
    assert!(!has_test(&sources, "architecture", "has_test"));
}

#[test]
fn a_statement_that_reads_whatever_there_is_is_found() {
    let text = "const A: &str = \"SELECT * FROM users\";\n#[cfg(test)]\nmod tests {\n    \
                const B: &str = \"SELECT * FROM users\";\n}\n";
    assert_eq!(lines(&check_columns("crates/store/src/x.rs", text)), [1]);
}

/// The lines that a rule tells.
fn lines(found: &[Violation]) -> Vec<usize> {
    found.iter().map(|violation| violation.line).collect()
}

#[test]
fn a_file_that_is_too_long_is_found() {
    let long = "fn f() {}\n".repeat(MAX_LINES);
    assert_eq!(check_length("crates/core/src/x.rs", &long), []);
    let tests = format!("{long}#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert_eq!(check_length("crates/core/src/x.rs", &tests), []);
    assert_eq!(lines(&check_length("crates/core/src/x.rs", &format!("{long}\n"))), [MAX_LINES + 1]);
}

#[test]
fn a_name_that_says_nothing_is_found() {
    assert_eq!(lines(&check_names("crates/core/src/utils.rs", "")), [1]);
    assert_eq!(lines(&check_names("src/common/x.rs", "")), [1]);
    assert_eq!(
        lines(&check_names("crates/core/src/x.rs", "\nmod helpers {}\npub mod manager;")),
        [2, 3]
    );
    assert_eq!(lines(&check_names("crates/core/src/time.rs", "let utils = 1; mod tests {}")), []);
}

#[test]
fn reading_the_environment_elsewhere_is_found() {
    for text in ["use std::env;", "use std::{env, fs};", "fn f() { std::env::temp_dir(); }"] {
        assert_eq!(lines(&check_environment("src/cli/serve.rs", text)), [1]);
        assert_eq!(lines(&check_environment("src/config/environment.rs", text)), []);
    }
    assert_eq!(
        lines(&check_environment("crates/core/src/x.rs", "const A: &str = env!(\"A\");")),
        []
    );
}

#[test]
fn a_test_that_sleeps_is_found() {
    let sleeps = "fn f() {\n    std::thread::sleep(x);\n    tokio::time::sleep(y);\n}\n";
    assert_eq!(lines(&check_sleep("tests/e2e/x.rs", sleeps)), [2, 3]);
    assert_eq!(lines(&check_sleep("crates/auth/src/session/feed_tests.rs", sleeps)), [2, 3]);
    assert_eq!(lines(&check_sleep("crates/proxy/src/upstream/health.rs", sleeps)), []);
    let inside =
        format!("{sleeps}#[cfg(test)]\nmod tests {{\nuse tokio::time::{{self, sleep}};\n}}");
    assert_eq!(lines(&check_sleep("crates/core/src/x.rs", &inside)), [7]);
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
    let told = |text: &str| lines(&check_secrets("crates/core/src/x.rs", text));
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
