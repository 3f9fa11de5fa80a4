//! A database that many people have used for long.

/// Where numbers come from.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// PostgreSQL's.
    Series,
    /// SQLite's.
    Recursion,
}

impl Source {
    fn up_to(self, count: u64) -> String {
        match self {
            Self::Series => format!("generate_series(1::bigint, {count}) AS s(g)"),
            Self::Recursion => format!(
                "(WITH RECURSIVE r(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM r WHERE g < {count}) \
                 SELECT g FROM r) AS s"
            ),
        }
    }
}

/// Tables that grow with the number of those who use the gateway.
pub(crate) const LARGE: [&str; 16] = [
    "users",
    "user_roles",
    "sessions",
    "refresh_tokens",
    "changes",
    "devices",
    "profiles",
    "totp_factors",
    "recovery_codes",
    "password_resets",
    "email_verifications",
    "provider_links",
    "revoked_tokens",
    "rates",
    "tickets",
    "outbox",
];

/// For so many sessions, of a fifth as many people; one in a hundred ended, and one was revoked, days ago.
pub(crate) fn statements(source: Source, sessions: u64) -> Vec<String> {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let (before, after, micros) = (now - 172_800, now + 2_592_000, now * 1_000_000);
    let (people, few) = (sessions / 5, sessions / 100);
    let id = "'0198f000-0000-7000-8000-' || (100000000000 + g)";
    let digest = "'digest-of-some-length-as-those-of-sha-' || (100000000000 + g)";
    let insert = |table: &str, columns: &str, values: String, count: u64| {
        format!("INSERT INTO {table} ({columns}) SELECT {values} FROM {}", source.up_to(count))
    };
    let user = format!("1000 + g % {people} + 1");
    vec![
        insert(
            "users",
            "id, username, username_folded, email, email_folded, password_hash, roles_changed_at, \
             created_at",
            "1000 + g, 'user' || g, 'user' || g, 'user' || g || '@example.test', \
             'user' || g || '@example.test', '$none$', 0, 0"
                .to_owned(),
            people,
        ),
        insert("user_roles", "user_id, role", "1000 + g, 'user'".to_owned(), people),
        insert("profiles", "user_id, cpf", "1000 + g, 'cpf' || g".to_owned(), people / 2),
        insert(
            "sessions",
            "id, user_id, created_at, last_used_at, expires_at, revoked_at",
            format!(
                "{id}, {user}, {before}, {before}, \
                 CASE WHEN g % 100 = 0 THEN {before} ELSE {after} END, \
                 CASE WHEN g % 100 = 1 THEN {before} END"
            ),
            sessions,
        ),
        insert(
            "refresh_tokens",
            "digest, session_id, family, issued_at, expires_at, used_at, successor_seed",
            format!(
                "{digest}, {id}, 'family-' || g, {before}, \
                 CASE WHEN g % 100 = 0 THEN {before} ELSE {after} END, \
                 CASE WHEN g % 100 = 2 THEN {before} END, CASE WHEN g % 100 = 2 THEN 'seed' END"
            ),
            sessions,
        ),
        insert(
            "devices",
            "digest, user_id, created_at, last_used_at, expires_at",
            format!("{digest}, {user}, {before}, {before}, {after}"),
            sessions / 10,
        ),
        insert("changes", "kind, key, at", format!("'session', {id}, {now}"), few),
        insert(
            "totp_factors",
            "user_id, sealed, key_id, session_id, created_at",
            format!("1000 + g, 'x', 'x', {id}, {before}"),
            few,
        ),
        insert(
            "recovery_codes",
            "user_id, digest",
            format!("1000 + g % {few} + 1, {digest}"),
            few * 10,
        ),
        insert(
            "password_resets",
            "id, user_id, email, secret_hash, created_at, expires_at",
            format!("{id}, 1000 + g, 'x', '$x', {before}, {after}"),
            few,
        ),
        insert(
            "email_verifications",
            "id, user_id, email, secret_hash, created_at, expires_at",
            format!("{id}, 1000 + g, 'x', '$x', {before}, {after}"),
            few,
        ),
        insert(
            "provider_links",
            "issuer, subject, user_id, created_at",
            "'https://issuer.test', 'subject' || g, 1000 + g, 0".to_owned(),
            people / 2,
        ),
        insert(
            "revoked_tokens",
            "mark, revoked_at, keep_until",
            format!("{digest}, {now}, {after}"),
            few,
        ),
        insert("rates", "name, empty_at", format!("{digest}, {micros} + 3600000000 - g"), few),
        insert(
            "tickets",
            "kind, name, value, attempts, expires_at",
            format!("'kind' || g % 4, {digest}, 'x', 5, {micros} + 3600000000 - g"),
            few.min(50_000),
        ),
        insert(
            "outbox",
            "id, user_id, kind, language, recipient, key_id, created_at, expires_at, next_attempt_at",
            format!("{id}, 1000 + g, 'reset', 'en', 'x', 'x', {before}, {after} - g, {after}"),
            few,
        ),
    ]
}
