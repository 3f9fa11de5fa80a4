//! From text on disk to a configuration or its problems, through every step.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::super::values::{ClientAuth, Mode};
use super::*;
use guarita_auth::grant::RefreshRotation;
use guarita_core::jose::Algorithm;

mod assertion;
mod ephemeral;
mod introspection;
mod mail;
mod mfa;
mod providers;
mod rotation;
mod routes;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const LISTENER: &str = "[[listeners]]\naddress = \"127.0.0.1:8080\"\n";

/// A directory with a configuration.
struct Place(TempDir);

impl Place {
    fn new(text: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("guarita.toml", text);
        place
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.0.path().join(name), content).unwrap();
    }

    /// A certificate that is its own CA, with its key.
    fn write_pair(&self, certificate: &str, key: &str, until: i32) {
        let mut params = CertificateParams::new(vec!["gateway.test".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        self.write(certificate, &issuer.pem());
        self.write(key, &issuer.key().serialize_pem());
        self.restrict(key);
    }

    fn restrict(&self, name: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.0.path().join(name), mode).unwrap();
    }

    fn load(&self) -> Loaded {
        self.load_with(&[])
    }

    fn load_with(&self, variables: &[(&str, &str)]) -> Loaded {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        load_with(&self.0.path().join("guarita.toml"), &variables, NOW)
    }

    /// The problems, without the directory's name.
    fn problems(&self) -> Vec<String> {
        let directory = format!("{}/", self.0.path().display());
        let problems = self.load().result.unwrap_err().0;
        problems.into_iter().map(|line| line.replace(&directory, "")).collect()
    }
}

#[test]
fn what_is_not_written_has_the_defaults_of_the_contract() {
    let config = Place::new(LISTENER).load().result.unwrap();
    assert_eq!(config.mode, Mode::Local);
    assert_eq!(&*config.public_url, "https://localhost:8443");
    assert_eq!(config.data_dir, Path::new("data"));
    assert_eq!(config.ops.to_string(), "127.0.0.1:9090");
    assert_eq!(config.store.database.expose(), "sqlite:data/guarita.db");
    assert_eq!((&*config.tokens.issuer, &*config.tokens.audience), ("ms-auth", "api"));
    assert_eq!(config.tokens.access_ttl, Duration::from_secs(3600));
    assert_eq!(config.tokens.refresh_ttl, Duration::from_secs(30 * 86_400));
    assert_eq!(config.tokens.refresh_rotation, RefreshRotation::Rotate);
    assert_eq!(config.algorithm, Algorithm::Rs256);
    assert_eq!(config.login.min_length, 15);
    assert_eq!(config.login.lockout_failures, 5);
    assert_eq!(config.login.lockout_duration, Duration::from_secs(300));
    assert_eq!(config.identity_headers.roles, "app_roles");
    assert_eq!(config.aliases, [("/api/auth/token".into(), "/auth/token".into())]);
    assert_eq!(config.audit.keep, Duration::from_secs(180 * 86_400));
    assert_eq!(config.limits, Default::default());
    assert_eq!(config.mail, None);
    assert!(!config.login.require_verified_email);
    assert_eq!(&*config.links.reset.url, "https://localhost:8443/reset");
    assert_eq!(&*config.links.verification.url, "https://localhost:8443/verify-email");
    assert_eq!(config.links.reset.ttl, Duration::from_secs(1800));
    assert_eq!(config.links.verification.ttl, Duration::from_secs(3600));
    assert_eq!((config.policy.min_score, &config.policy.breached), (3, &None));
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn rates_are_bounded_and_can_be_off() {
    let text = format!(
        "[rate_limits]\nlogin = {{ per_source = \"20/1m\", per_account = \"off\" }}\n\
         refresh.per_source = \"1000000/1d\"\n{LISTENER}"
    );
    let rates = Place::new(&text).load().result.unwrap().rate_limits;
    let rate = rates.login.per_source.unwrap();
    assert_eq!((rate.count.get(), rate.period), (20, Duration::from_secs(60)));
    assert_eq!(rates.login.per_account, None);
    assert_eq!(rates.mfa, guarita_auth::snapshot::rate_limits::RateLimits::default().mfa);
    for (key, value, part) in [
        ("login.per_source", "\"0/1m\"", "must be 1 to 1000000 in 1s to 1d"),
        ("login.per_account", "\"1000001/1m\"", "must be 1 to 1000000 in 1s to 1d"),
        ("mfa.per_source", "\"1/999ms\"", "must be 1 to 1000000 in 1s to 1d"),
        ("recover.per_source", "\"1/25h\"", "must be 1 to 1000000 in 1s to 1d"),
        ("verify_email.per_source", "\"20\"", "is not a valid rate"),
        ("introspection.per_account", "\"-1/1m\"", "is not a valid rate"),
        ("introspection.per_source", "\"4294967296/1m\"", "is not a valid rate"),
        ("refresh.per_account", "\"1/1m\"", "is not a known key"),
        ("login.burst", "5", "is not a known key"),
        ("login.per_source", "5", "must be a string"),
    ] {
        let told = Place::new(&format!("[rate_limits]\n{key} = {value}\n{LISTENER}")).problems();
        let start = format!("guarita.toml:2: rate_limits.{key}: ");
        assert!(told[0].starts_with(&start) && told[0].contains(part), "{told:?}");
    }
    let file = Place::new(LISTENER);
    let variables = [("GUARITA_RATE_LIMITS__LOGIN__PER_SOURCE", "7/1s")];
    let rates = file.load_with(&variables).result.unwrap().rate_limits;
    assert_eq!(rates.login.per_source.unwrap().count.get(), 7);
}

#[test]
fn problems_of_every_kind_are_told_together_in_the_order_of_the_file() {
    let place = Place::new(
        "mode = \"external\"\npublic_url = \"http://gateway.test\"\ntrusted_proxies = [\"10.0.0.0/33\"]\n\
         [[listeners]]\naddress = \"localhost:80\"\nclient_auth = { mode = \"required\" }\n\
         [store]\ndatabase = \"postgres://user:hunter2@db\"\n\
         [tokens]\naccess_ttl = \"25h\"\nleeway = \"61s\"\nmax_length = \"65KiB\"\n\
         [lockout]\nduration = \"soon\"\n\
         [[upstreams]]\nname = \"a b\"\nservers = [\"http://a/b\"]\n\
         [identity_headers]\nsubject = \"Content_Length\"\nuser = \"X_AUTH_SID\"\n\
         [endpoints]\naliases = { \"/auth/x\" = \"/nowhere\" }\n\
         [audit]\nkeep = \"179d\"\n[log]\nlevel = \"a=b=c\"\n[passwords]\nmemory = \"1MiB\"\n\
         nonsense = true\n[[providers]]\nname = \"entra\"\n",
    );
    let told = place.problems();
    let expected = [
        ("guarita.toml:2: public_url: ", "must be https"),
        ("guarita.toml:3: trusted_proxies[0]: ", "network"),
        ("guarita.toml:5: listeners[0].address: ", "IP address"),
        ("guarita.toml:6: listeners[0].client_auth: ", "tls"),
        ("guarita.toml:6: listeners[0].client_auth.ca: ", "is missing"),
        ("guarita.toml:8: store.database: ", "must name a user, a host and a database"),
        ("guarita.toml:10: tokens.access_ttl: ", "must be 1s to 1d"),
        ("guarita.toml:11: tokens.leeway: ", "must be 0s to 1m"),
        ("guarita.toml:12: tokens.max_length: ", "must be 1KiB to 64KiB"),
        ("guarita.toml:14: lockout.duration: ", "is not a valid duration"),
        ("guarita.toml:16: upstreams[0].name: ", "letters"),
        ("guarita.toml:17: upstreams[0].servers[0]: ", "path"),
        ("guarita.toml:19: identity_headers.subject: ", "another meaning"),
        ("guarita.toml:20: identity_headers.", "cannot be distinguished from the name of "),
        ("guarita.toml:22: endpoints.aliases./auth/x: ", "a path that is not served already"),
        ("guarita.toml:22: endpoints.aliases./auth/x: ", "must be an alias of"),
        ("guarita.toml:24: audit.keep: ", "must be 180d to 3650d"),
        ("guarita.toml:26: log.level: ", "not a valid level"),
        ("guarita.toml:28: passwords.memory: ", "must be 8MiB to 1GiB"),
        ("guarita.toml:29: passwords.nonsense: ", "not a known key"),
        ("guarita.toml:30: providers[0].issuer: ", "is missing"),
        ("guarita.toml:30: providers[0]: ", "has no audience"),
    ];
    for (start, part) in expected {
        let found = told.iter().any(|line| line.starts_with(start) && line.contains(part));
        // The clash of names is told where the second of them is.
        let found = found || (part.starts_with("cannot") && told.iter().any(|l| l.contains(part)));
        assert!(found, "{start}…{part}\n{}", told.join("\n"));
    }
    assert_eq!(told.len(), expected.len(), "{}", told.join("\n"));
    assert!(!told.join("\n").contains("hunter2"));
    let lines: Vec<usize> =
        told.iter().filter_map(|line| line.split(':').nth(1)?.parse().ok()).collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn a_missing_unreadable_or_oversized_file_is_one_problem() {
    let place = Place::new("");
    let missing = load_with(&place.0.path().join("none.toml"), &Variables::new(), NOW);
    assert!(missing.result.unwrap_err().0[0].contains("none.toml: cannot be read: "));
    assert_eq!(missing.files.len(), 1);
    let directory = load_with(place.0.path(), &Variables::new(), NOW).result.unwrap_err();
    assert!(directory.0[0].contains("not a regular file"));
    place.write("guarita.toml", &"#".repeat(16 * 1024 * 1024 + 1));
    assert!(place.problems()[0].contains("larger than 16 MiB"));
    std::fs::write(place.0.path().join("guarita.toml"), b"\xff").unwrap();
    assert!(place.problems()[0].contains("not UTF-8"));
}

#[test]
fn mode_off_needs_to_be_allowed_and_loopback() {
    let text =
        |more: &str| format!("mode = \"off\"\n{more}[[listeners]]\naddress = \"0.0.0.0:80\"\n");
    assert_eq!(Place::new(&text("")).problems().len(), 2);
    assert_eq!(
        Place::new(&text("allow_insecure = true\n")).problems(),
        [
            "guarita.toml:4: listeners[0].address: must be a loopback address, because mode is \"off\" \
         (127.0.0.1 or [::1])"
        ]
    );
    let loopback = format!("mode = \"off\"\nallow_insecure = true\n{LISTENER}");
    assert_eq!(Place::new(&loopback).load().result.unwrap().mode, Mode::Off);
}

#[test]
fn certificates_are_read_beside_the_file_and_watched() {
    let place = Place::new(
        "[[listeners]]\naddress = \"127.0.0.1:1\"\ntls = { certificate = \"a.pem\", key = \"a.key\" }\n\
         client_auth = { mode = \"required\", ca = \"a.pem\" }\n",
    );
    place.write_pair("a.pem", "a.key", 4000);
    let loaded = place.load();
    let names: Vec<_> = loaded.files.keys().map(|file| file.file_name().unwrap()).collect();
    assert_eq!(names, ["a.key", "a.pem", "guarita.toml"]);
    assert!(loaded.files.values().all(Option::is_some));
    let config = loaded.result.unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(matches!(config.listeners[0].client_auth, ClientAuth::Required(_)));
    assert_eq!(config.listeners[0].certificates.len(), 1);
}

#[test]
fn an_expired_certificate_and_a_readable_key_are_warnings() {
    let place = Place::new(
        "[[listeners]]\naddress = \"127.0.0.1:1\"\ntls = { certificate = \"a.pem\", key = \"a.key\" }\n",
    );
    place.write_pair("a.pem", "a.key", 2001);
    place.write("open.key", &std::fs::read_to_string(place.0.path().join("a.key")).unwrap());
    let text = std::fs::read_to_string(place.0.path().join("guarita.toml")).unwrap();
    place.write("guarita.toml", &text.replace("a.key", "open.key"));
    use std::os::unix::fs::PermissionsExt as _;
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(place.0.path().join("open.key"), open).unwrap();
    let warnings = place.load().result.unwrap().warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("listeners[0].tls.key") && warnings[0].contains("chmod"));
    assert!(warnings[1].contains("listeners[0].tls.certificate: "));
    assert!(warnings[1].contains("expired"));
}

#[test]
fn certificates_that_cannot_be_used_are_told_where_they_are_named() {
    let place = Place::new(
        "[[listeners]]\naddress = \"127.0.0.1:1\"\n[listeners.tls]\ncertificates = [\n\
         { certificate = \"a.pem\", key = \"b.key\" },\n{ certificate = \"none.pem\", key = \"a.key\" },\n\
         { certificate = \"guarita.toml\", key = \"a.key\" }]\n\
         [[listeners]]\naddress = \"127.0.0.1:2\"\ntls = { certificate = \"a.pem\" }\n\
         [[listeners]]\naddress = \"127.0.0.1:1\"\ntls = { certificate = \"a.pem\", key = \"a.key\" }\n\
         client_auth = { mode = \"optional\", ca = \"a.key\" }\n",
    );
    place.write_pair("a.pem", "a.key", 4000);
    place.write_pair("b.pem", "b.key", 4000);
    let told = place.problems();
    for (line, part) in [
        ("guarita.toml:5: listeners[0].tls.certificates[0].certificate: ", "do not match"),
        (
            "guarita.toml:6: listeners[0].tls.certificates[1].certificate: ",
            "none.pem cannot be read",
        ),
        ("guarita.toml:7: listeners[0].tls.certificates[2].certificate: ", "no valid certificate"),
        ("guarita.toml:10: listeners[1].tls: ", "complete pair"),
        ("guarita.toml:12: listeners[2].address: ", "is a duplicate"),
        ("guarita.toml:14: listeners[2].client_auth.ca: ", "no valid certificate"),
    ] {
        let found = told.iter().any(|told| told.starts_with(line) && told.contains(part));
        assert!(found, "{line}…{part}\n{}", told.join("\n"));
    }
    assert_eq!(told.len(), 6, "{}", told.join("\n"));
}

#[test]
fn secrets_come_from_files_and_are_bounded() {
    let place = Place::new(&format!(
        "{LISTENER}[store]\ndatabase_file = \"database\"\n[tokens]\nalgorithm = \"HS256\"\n\
         signing_key_file = \"key\"\n"
    ));
    place.write("database", "sqlite:/var/lib/guarita.db\n");
    place.write("key", &format!("{}\n", "k".repeat(32)));
    let config = place.load().result.unwrap();
    assert_eq!(config.store.database.expose(), "sqlite:/var/lib/guarita.db");
    assert_eq!(config.keys.signing.unwrap().expose().len(), 32);
    place.write("key", &format!("{}\n", "k".repeat(31)));
    assert_eq!(
        place.problems(),
        ["guarita.toml:7: tokens.signing_key_file: must have at least 32 bytes for HS256"]
    );
    place.write("key", &"k".repeat(1024 * 1024 + 1));
    assert!(place.problems()[0].contains("larger than 1 MiB"));
    place.write("key", "\n");
    assert!(place.problems()[0].contains("is empty"));
    let both = format!("{LISTENER}[tokens]\nsigning_key = \"a\"\nsigning_key_file = \"key\"\n");
    place.write("guarita.toml", &both);
    assert!(place.problems()[0].contains("is set twice (set either "));
}

#[test]
fn the_environment_wins_and_its_problems_name_the_variable() {
    let place = Place::new(&format!("{LISTENER}[tokens]\naccess_ttl = \"5m\"\n"));
    let config = place.load_with(&[
        ("GUARITA_TOKENS__ACCESS_TTL", "7m"),
        ("DB_DRIVER", "sqlite"),
        ("DB_DATABASE", "users.db"),
    ]);
    let config = config.result.unwrap();
    assert_eq!(config.tokens.access_ttl, Duration::from_secs(420));
    assert_eq!(config.store.database.expose(), "sqlite:users.db");
    let wrong =
        place.load_with(&[("GUARITA_TOKENS__ACCESS_TTL", "2d"), ("RESET_TOKEN_TTL", "7200")]);
    let told = wrong.result.unwrap_err().0;
    assert_eq!(
        told,
        [
            "environment RESET_TOKEN_TTL: must be 1 to 3600 (seconds)",
            "environment GUARITA_TOKENS__ACCESS_TTL: tokens.access_ttl: must be 1s to 1d",
        ]
    );
}

const UPSTREAM: &str = "[[upstreams]]\nname = \"orders\"\nservers = [\"http://127.0.0.1:9000\"]\n";

#[test]
fn every_example_in_conf_loads() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let examples = std::fs::read_dir(conf.join("examples")).unwrap();
    let mut files: Vec<_> = examples.map(|entry| entry.unwrap().path()).collect();
    files.push(conf.join("guarita.toml"));
    assert!(files.len() >= 4);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let place = Place::new(&text);
        for (certificate, key) in [
            ("cert.pem", "key.pem"),
            ("gateway.pem", "gateway.key"),
            ("partners.pem", "partners.key"),
            ("to-ledger.pem", "to-ledger.key"),
            ("www.pem", "www.key"),
            ("clients-ca.pem", "unused"),
            ("internal-ca.pem", "unused"),
        ] {
            place.write_pair(certificate, key, 4000);
        }
        let config = place.load().result.unwrap_or_else(|told| panic!("{file:?}:\n{told}"));
        assert_eq!(config.warnings, Vec::<String>::new(), "{file:?}");
    }
}

#[test]
fn the_example_of_several_gateways_loads() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let text = std::fs::read_to_string(conf.join("compose/guarita.toml")).unwrap();
    let place = Place::new(&text.replace("/run/secrets/", ""));
    place.write_pair("certificate", "certificate_key", 4000);
    for (name, secret) in [
        ("database_url", "postgres://guarita:0123456789abcdef@postgres/guarita?sslmode=disable"),
        ("redis_url", "redis://:0123456789abcdef@redis:6379/0"),
        ("master_key", "0123456789abcdef0123456789abcdef0123456789ab"),
    ] {
        place.write(name, secret);
        place.restrict(name);
    }
    let config = place.load().result.unwrap_or_else(|told| panic!("{told}"));
    assert_eq!(config.drain_delay, Duration::from_secs(5));
}

#[test]
fn the_example_of_every_section_writes_the_defaults() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/guarita.toml");
    let place = Place::new(&std::fs::read_to_string(file).unwrap());
    place.write_pair("cert.pem", "key.pem", 4000);
    let written = place.load().result.unwrap();
    let default = Place::new(LISTENER).load().result.unwrap();
    assert_eq!(written.limits, default.limits);
    assert_eq!(written.tokens, default.tokens);
    assert_eq!(written.login, default.login);
    assert_eq!(written.audit, default.audit);
    assert_eq!(written.expectations, default.expectations);
    assert_eq!(written.drain_delay, default.drain_delay);
    assert_eq!(written.drain_timeout, default.drain_timeout);
    assert_eq!(written.store.database.expose(), default.store.database.expose());
    let (upstream, least) = (&written.upstreams[0], Place::new(&format!("{LISTENER}{UPSTREAM}")));
    let least = &least.load().result.unwrap().upstreams[0];
    assert_eq!(upstream.eject_for, least.eject_for);
    assert_eq!(upstream.read_timeout, least.read_timeout);
    assert_eq!((upstream.eject_after, upstream.retries), (least.eject_after, least.retries));
}
