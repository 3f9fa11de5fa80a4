//! What prints itself holds no secret as plain text (case logging-leak-008).

/// What fields of secrets are called, whole or behind the last `_`.
const NAMES: [&str; 13] = [
    "password", "secret", "token", "code", "codes", "cpf", "email", "ticket", "cookie", "database",
    "seed", "key", "keys",
];
/// Fields that are called so and hold none, or are there to be shown.
const HARMLESS: [(&str, &str); 11] = [
    // Makes nothing without the token that was used.
    ("src/adapters/store/refresh_tokens.rs", "successor_seed"),
    // Arguments as they were typed.
    ("src/app/cli/profile.rs", "cpf"),
    ("src/app/cli/user.rs", "email"),
    // Places in the configuration's file.
    ("src/app/config/values.rs", "signing_key"),
    ("src/app/config/values.rs", "verifying_keys"),
    // Names of files.
    ("src/app/config/written.rs", "key"),
    ("src/app/config/written/upstream.rs", "key"),
    // What is made to be sent.
    ("src/doors/endpoints/csrf.rs", "csrf_token"),
    ("src/doors/endpoints/login.rs", "access_token"),
    ("src/doors/endpoints/login.rs", "refresh_token"),
    // Public keys.
    ("src/app/config/written/token.rs", "verifying_keys"),
];

/// Lines with a field of plain text in what derives `Debug`, `Serialize` or `Display`.
pub(crate) fn printed(file: &str, text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let (mut prints, mut inside) = (false, false);
    for (number, line) in text.lines().enumerate() {
        let code = line.trim();
        if let Some(derived) = code.strip_prefix("#[derive(") {
            prints = ["Debug", "Display", "Serialize"]
                .iter()
                .any(|name| derived.split([',', ')']).any(|one| one.trim() == *name));
        } else if (code.contains("struct ") || code.contains("enum ")) && !code.starts_with("//") {
            inside = prints && code.ends_with('{');
            prints = false;
        } else if line == "}" || line == "    }" && !inside {
            inside = false;
        } else if inside && is_plain_secret(file, code) {
            found.push(number + 1);
        }
    }
    found
}

fn is_plain_secret(file: &str, code: &str) -> bool {
    let Some((name, kind)) = code.split_once(": ") else { return false };
    let name = name.rsplit(' ').next().unwrap_or_default();
    let called =
        NAMES.contains(&name) || name.rsplit('_').next().is_some_and(|it| NAMES.contains(&it));
    let plain = kind.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let plain = plain.into_iter().any(|word| ["String", "str"].contains(&word));
    called && plain && !HARMLESS.contains(&(file, name))
}

#[test]
fn a_secret_that_would_be_printed_is_found() {
    let text = "#[derive(Debug)]\nstruct A {\n    password: String,\n    name: String,\n}\n\
                #[derive(Clone)]\nstruct B {\n    token: String,\n}\n\
                #[derive(serde::Deserialize, Debug, Clone)]\npub struct C<'a> {\n    \
                pub(super) access_token: Option<&'a str>,\n    pub code: Secret,\n}\n";
    assert_eq!(printed("src/x.rs", text), [3, 12]);
}
