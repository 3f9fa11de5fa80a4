//! Certificates of callers: verified, compared exactly, never taken from a header.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{DnType, DnValue, SanType};
use rustls::pki_types::ServerName;

use super::Stage;
use crate::harness::certificates::{Authority, Client, Identity};
use crate::harness::raw::Tls;
use crate::harness::tokens::Genuine;
use crate::harness::{HOST, Request, Setup, Upstream, Wire, cli};

/// A route that only the certificates of `root` open.
const GUARDED: &str =
    "path = \"/m/{*rest}\"\naccess = \"public\"\nallow = { client_cns = [\"root\"] }";

async fn stage(clients: &Authority) -> Stage {
    Stage::with(|setup| setup.client_auth("optional", clients).route(GUARDED)).await
}

/// The status that a caller with this TLS gets; `None` where the handshake or the connection fails.
async fn status(stage: &Stage, tls: &Tls, host: &str, path: &str) -> Option<u16> {
    let stream = tls.connect(stage.gateway.https()).await.ok()?;
    let mut wire = Wire::over(stream);
    wire.send(Request::get(path).bytes(host)).await;
    wire.answer().await.map(|answer| answer.status)
}

/// A caller with this identity gets to nothing that asks for a certificate.
async fn refused(stage: &Stage, what: &str, identity: &Identity) {
    let tls = stage.gateway.tls().identity(identity);
    let status = status(stage, &tls, HOST, "/m/x").await;
    assert!(matches!(status, None | Some(401 | 403)), "{what}: {status:?}");
    stage.assert_nothing_forwarded(what);
}

#[tokio::test]
async fn mtls_001_only_certificates_of_the_configured_ca_count() {
    let clients = Authority::new("Clients");
    let stage = stage(&clients).await;
    let good = stage.gateway.tls().identity(&clients.client(&Client::named("root")));
    assert_eq!(status(&stage, &good, HOST, "/m/x").await, Some(200));
    stage.upstream.forget();
    let anonymous = status(&stage, &stage.gateway.tls(), HOST, "/m/x").await;
    assert!(matches!(anonymous, Some(401 | 403)), "{anonymous:?}");
    let namesake = Authority::new("Clients").client(&Client::named("root"));
    refused(&stage, "another CA of the same name", &namesake).await;
    let server = stage.gateway.setup.authority.client(&Client::named("root"));
    refused(&stage, "the CA of the server", &server).await;
    let own = Authority::new("root");
    let self_signed = own.server(&["root"]);
    refused(&stage, "self-signed", &self_signed).await;
    refused(&stage, "another name", &clients.client(&Client::named("alice"))).await;
    stage.assert_nothing_forwarded("a caller without a certificate that counts");
}

#[tokio::test]
async fn mtls_001_a_required_certificate_is_required_for_everything() {
    let clients = Authority::new("Clients");
    let stage = Stage::with(|setup| setup.client_auth("required", &clients)).await;
    let anonymous = status(&stage, &stage.gateway.tls(), HOST, "/public/x").await;
    assert_eq!(anonymous, None);
    let tls12 = stage.gateway.tls().versions(&[&rustls::version::TLS12]);
    assert_eq!(status(&stage, &tls12, HOST, "/public/x").await, None);
    stage.assert_nothing_forwarded("a caller without a certificate");
    let good = stage.gateway.tls().identity(&clients.client(&Client::named("anyone")));
    assert_eq!(status(&stage, &good, HOST, "/public/x").await, Some(200));
}

#[tokio::test]
async fn mtls_002_no_header_stands_for_a_certificate() {
    let clients = Authority::new("Clients");
    let stage = stage(&clients).await;
    let pem = clients.client(&Client::named("root")).chain_pem.replace('\n', "%0A");
    let spoofed = |path: &str| {
        Request::get(path)
            .header("X-Client-Cert", &pem)
            .header("X-SSL-Client-S-DN", "CN=root")
            .header("ssl-client-verify", "SUCCESS")
            .header("X-Forwarded-Client-Cert", "Subject=\"CN=root\"")
            .header("Client-Cert", ":MIIB...:")
            .header("X_Client_Cert", &pem)
    };
    let status = stage.anonymous().send(spoofed("/m/x")).await.status;
    assert!([401, 403].contains(&status), "{status}");
    stage.assert_nothing_forwarded("a certificate in a header");
    assert_eq!(stage.anonymous().send(spoofed("/public/x")).await.status, 200);
    let seen = stage.upstream.only();
    for name in [
        "x-client-cert",
        "x-ssl-client-s-dn",
        "ssl-client-verify",
        "x-forwarded-client-cert",
        "client-cert",
    ] {
        assert!(seen.folded(name).is_empty(), "{name}: {}", seen.text());
    }
}

/// `client_cns` compares the subject's common name; no alternative name stands for it.
#[tokio::test]
async fn mtls_003_an_alternative_name_is_not_the_common_name() {
    let clients = Authority::new("Clients");
    let stage = stage(&clients).await;
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let impostor = Client::named("mallory").alternative(dns("root"));
    refused(&stage, "CN mallory, SAN root", &clients.client(&impostor)).await;
    let named = clients.client(&Client::named("root").alternative(dns("alice")));
    let tls = stage.gateway.tls().identity(&named);
    assert_eq!(status(&stage, &tls, HOST, "/m/x").await, Some(200));
    assert!(stage.upstream.only().folded("sub").is_empty());
}

#[tokio::test]
async fn mtls_004_no_kind_of_alternative_name_is_taken_for_another() {
    let clients = Authority::new("Clients");
    let stage = stage(&clients).await;
    let text = || "root".try_into().unwrap();
    let other = rcgen::OtherNameValue::Utf8String("root".into());
    for (what, name) in [
        ("e-mail", SanType::Rfc822Name(text())),
        ("URI", SanType::URI(text())),
        ("DNS", SanType::DnsName(text())),
        ("other", SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], other))),
    ] {
        let identity = clients.client(&Client::named("mallory").alternative(name));
        refused(&stage, what, &identity).await;
    }
}

#[tokio::test]
async fn mtls_005_a_certificate_counts_in_its_time_only() {
    let clients = Authority::new("Clients");
    let stage = stage(&clients).await;
    for (what, from, until) in [
        ("expired", -7200, -3600),
        ("just expired", -7200, -2),
        ("not yet valid", 3600, 7200),
        ("soon valid", 60, 7200),
    ] {
        let identity = clients.client(&Client::named("root").valid(from, until));
        refused(&stage, what, &identity).await;
    }
    let tight = clients.client(&Client::named("root").valid(-2, 120));
    let tls = stage.gateway.tls().identity(&tight);
    assert_eq!(status(&stage, &tls, HOST, "/m/x").await, Some(200));
}

/// Revocation lists are not configurable: asking for them is refused, never ignored.
#[tokio::test]
async fn mtls_006_a_revocation_list_is_never_silently_ignored() {
    let clients = Authority::new("Clients");
    let upstream = Upstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    let setup = Setup::standard(&upstream.url()).client_auth("optional", &clients);
    setup.write(directory.path());
    let with_list = setup
        .text()
        .replace("ca = \"clients-ca.pem\" }", "ca = \"clients-ca.pem\", crl = \"clients.crl\" }");
    std::fs::write(directory.path().join("guarita.toml"), with_list).unwrap();
    let outcome = cli::run(directory.path(), &["check", "--config", "guarita.toml"], "").await;
    assert!(outcome.failed(2).output().contains("crl"));
}

/// Garbage where a CA belongs is refused at load and cannot take a running gateway down.
#[tokio::test]
async fn mtls_007_broken_trust_material_never_takes_the_gateway_down() {
    let clients = Authority::new("Clients");
    let mut stage = stage(&clients).await;
    let good = stage.gateway.tls().identity(&clients.client(&Client::named("root")));
    let truncated = &clients.pem()[..clients.pem().len() / 2];
    for broken in [
        truncated.to_owned(),
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".to_owned(),
        "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n".to_owned(),
        "A".repeat(4 * 1024 * 1024),
    ] {
        let setup = stage.gateway.setup.clone().file("clients-ca.pem", broken);
        assert!(!stage.gateway.reload(setup).await);
        assert_eq!(status(&stage, &good, HOST, "/m/x").await, Some(200));
    }
    stage.upstream.forget();
    let stranger = Authority::new("Clients").client(&Client::named("root"));
    refused(&stage, "a stranger after a failed reload", &stranger).await;
}

#[tokio::test]
async fn mtls_008_a_name_in_the_handshake_does_not_open_another_host() {
    let clients = Authority::new("Clients");
    let stage = Stage::with(|setup| {
        setup
            .client_auth("optional", &clients)
            .route("hosts = [\"open.example.test\"]\npath = \"/{*rest}\"\naccess = \"public\"")
            .route(&format!("hosts = [\"m.example.test\"]\n{GUARDED}"))
    })
    .await;
    let open = stage.gateway.tls().name("open.example.test");
    let fronted = status(&stage, &open, "m.example.test", "/m/x").await;
    assert!(matches!(fronted, None | Some(401 | 403 | 421)), "{fronted:?}");
    // Over one HTTP/2 connection for both names, too.
    let http2 = crate::harness::Http2::connect(stage.gateway.https(), &open).await;
    assert_eq!(http2.get("/x", "open.example.test", None).await.unwrap().status, 200);
    stage.upstream.forget();
    let coalesced = http2.get("/m/x", "m.example.test", None).await.unwrap();
    assert!([401, 403, 421].contains(&coalesced.status), "{}", coalesced.status);
    // A certificate shown under one name is not meant for another.
    let root = open.identity(&clients.client(&Client::named("root")));
    assert_eq!(status(&stage, &root, "m.example.test", "/m/x").await, Some(421));
    stage.assert_nothing_forwarded("a fronted request");
}

#[tokio::test]
async fn mtls_009_no_spelling_of_the_server_name_avoids_the_policy() {
    let clients = Authority::new("Clients");
    let stage = Stage::with(|setup| {
        setup
            .client_auth("optional", &clients)
            .route(&format!("hosts = [\"*.m.example.test\"]\n{GUARDED}"))
    })
    .await;
    let tls = stage.gateway.tls();
    for (what, tls) in [
        ("capitals", tls.clone().name("A.M.Example.Test")),
        ("the name", tls.clone().name("a.m.example.test")),
        ("another name", tls.clone().name("open.example.test")),
        ("no name", tls.clone().without_name()),
    ] {
        for host in ["a.m.example.test", "A.M.Example.Test", "a.m.example.test."] {
            let answer = status(&stage, &tls, host, "/m/x").await;
            assert!(matches!(answer, None | Some(401 | 403 | 421)), "{what}, {host}: {answer:?}");
        }
    }
    stage.assert_nothing_forwarded("a guarded host without a certificate");
}

/// Sends the first flight as told, then goes on as any client does; the answer's first line.
fn handshake_in_pieces(
    address: SocketAddr,
    config: rustls::ClientConfig,
    pieces: impl Fn(&[u8]) -> Vec<Vec<u8>>,
) -> std::io::Result<String> {
    let name = ServerName::try_from(HOST).unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello)?;
    let mut tcp = std::net::TcpStream::connect(address)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(crate::harness::wait::DEADLINE))?;
    for piece in pieces(&hello) {
        tcp.write_all(&piece)?;
    }
    let mut stream = rustls::StreamOwned::new(connection, tcp);
    stream.write_all(&Request::get("/m/x").bytes(HOST))?;
    let mut line = vec![0; 12];
    stream.read_exact(&mut line)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// One TLS record as many, of so many payload bytes each.
fn as_records(hello: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (head, payload) = hello.split_at(5);
    let record = |part: &[u8]| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&head[..3], &length, part].concat()
    };
    payload.chunks(size).map(record).collect()
}

#[tokio::test]
async fn mtls_010_a_scattered_client_hello_meets_the_same_policy() {
    let clients = Authority::new("Clients");
    let stage = stage(&clients).await;
    let address = stage.gateway.https();
    let mut padded = stage.gateway.tls().config();
    padded.alpn_protocols = (0..60).map(|number| vec![b'a' + number % 26; 200]).collect();
    padded.alpn_protocols.push(b"http/1.1".to_vec());
    for (what, config, records) in [
        ("single bytes", stage.gateway.tls().config(), 0),
        ("records of 7 bytes", stage.gateway.tls().config(), 7),
        ("records of 1 byte", stage.gateway.tls().config(), 1),
        ("padded", padded, 1000),
    ] {
        let outcome = tokio::task::spawn_blocking(move || {
            handshake_in_pieces(address, config, |hello| match records {
                0 => hello.chunks(1).map(<[u8]>::to_vec).collect(),
                size => as_records(hello, size),
            })
        })
        .await
        .unwrap();
        if let Ok(line) = outcome {
            assert!(line.ends_with(" 401") || line.ends_with(" 403"), "{what}: {line}");
        }
        stage.assert_nothing_forwarded(what);
        assert_eq!(stage.anonymous().get("/nowhere").await.status, 401);
    }
}

#[tokio::test]
async fn mtls_011_without_a_readable_ca_nothing_starts() {
    let clients = Authority::new("Clients");
    let upstream = Upstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    let setup = Setup::standard(&upstream.url()).client_auth("optional", &clients);
    let ca = directory.path().join("clients-ca.pem");
    for broken in [None, Some(""), Some("not a certificate")] {
        setup.write(directory.path());
        match broken {
            None => std::fs::remove_file(&ca).unwrap(),
            Some(text) => std::fs::write(&ca, text).unwrap(),
        }
        for verb in ["check", "serve"] {
            let outcome = cli::run(directory.path(), &[verb, "--config", "guarita.toml"], "").await;
            let said = outcome.failed(2).output();
            assert!(said.contains("client_auth.ca"), "{said}");
        }
    }
    // A running gateway keeps what it had.
    let mut stage = stage(&clients).await;
    std::fs::remove_file(stage.gateway.directory().join("clients-ca.pem")).unwrap();
    let before = stage.gateway.reloads("failed").await;
    cli::signal(stage.gateway.process, "HUP").await;
    crate::harness::until("the failed reload", || async {
        (stage.gateway.reloads("failed").await > before).then_some(())
    })
    .await;
    let good = stage.gateway.tls().identity(&clients.client(&Client::named("root")));
    assert_eq!(status(&stage, &good, HOST, "/m/x").await, Some(200));
    stage.upstream.forget();
    let stranger = Authority::new("Clients").client(&Client::named("root"));
    refused(&stage, "a stranger", &stranger).await;
    let restored = stage.gateway.setup.clone();
    assert!(stage.gateway.reload(restored).await);
}

#[tokio::test]
async fn mtls_012_no_resumed_session_outlives_the_trust_it_was_made_in() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let clients = Authority::new("Clients");
        let mut stage = stage(&clients).await;
        let identity = clients.client(&Client::named("root"));
        let tls = stage.gateway.tls().identity(&identity).versions(&[version]).resuming();
        assert_eq!(status(&stage, &tls, HOST, "/m/x").await, Some(200));
        assert_eq!(status(&stage, &tls, HOST, "/m/x").await, Some(200));

        let others = Authority::new("Others");
        let setup = stage.gateway.setup.clone().file("clients-ca.pem", others.pem());
        assert!(stage.gateway.reload(setup).await);
        stage.upstream.forget();
        for _ in 0..3 {
            let answer = status(&stage, &tls, HOST, "/m/x").await;
            assert!(matches!(answer, None | Some(401 | 403)), "{version:?}: {answer:?}");
        }
        stage.assert_nothing_forwarded("a resumed session");
    }
}

#[tokio::test]
async fn mtls_012_an_open_connection_does_not_outlive_the_trust_either() {
    let clients = Authority::new("Clients");
    let mut stage = stage(&clients).await;
    let tls = stage.gateway.tls().identity(&clients.client(&Client::named("root")));
    let mut wire = Wire::tls(stage.gateway.https(), &tls).await;
    assert_eq!(wire.exchange(&Request::get("/m/x"), HOST).await.status, 200);
    let others = Authority::new("Others");
    let setup = stage.gateway.setup.clone().file("clients-ca.pem", others.pem());
    assert!(stage.gateway.reload(setup).await);
    stage.upstream.forget();
    wire.send(Request::get("/m/x").bytes(HOST)).await;
    let answer = wire.answer().await.map(|answer| answer.status);
    assert!(matches!(answer, None | Some(401 | 403 | 421)), "{answer:?}");
    stage.assert_nothing_forwarded("an old connection of a CA that is not trusted any more");
}

#[tokio::test]
async fn mtls_013_a_strange_subject_is_only_compared() {
    let clients = Authority::new("Clients");
    let stage = stage(&clients).await;
    let long = "x".repeat(12 * 1024);
    for name in [
        "bob\\,OU=admin,CN=root",
        "root,OU=admin",
        "CN=root",
        "\"root\"",
        "root\r\nsub: root",
        "root\0",
        " root",
        "root ",
        "ROOT",
        "",
        &long,
    ] {
        let identity = clients.client(&Client::named(name));
        refused(&stage, &name[..name.len().min(40)], &identity).await;
        let tls = stage.gateway.tls().identity(&identity);
        if status(&stage, &tls, HOST, "/public/x").await == Some(200) {
            let seen = stage.upstream.only();
            assert!(seen.folded("sub").is_empty(), "{}", seen.text());
            assert!(!seen.text().contains("admin"), "{}", seen.text());
        }
        stage.upstream.forget();
    }
    // Two common names have no single meaning.
    let teletex = DnValue::TeletexString("root".try_into().unwrap());
    for twice in [
        Client::named("mallory").with(DnType::CustomDnType(vec![2, 5, 4, 3]), "root"),
        Client::named("mallory").with(DnType::CustomDnType(vec![2, 5, 4, 3]), teletex),
    ] {
        refused(&stage, "two common names", &clients.client(&twice)).await;
    }
}

#[tokio::test]
async fn mtls_014_a_maze_of_certificates_is_left_quickly() {
    let clients = Authority::new("Clients");
    let stage = stage(&clients).await;
    // Many CAs of one name, none of which leads to the configured one.
    let maze: Vec<_> = (0..40).map(|_| Authority::new("Maze")).collect();
    let mut identity = maze[0].client(&Client::named("root"));
    for authority in &maze[1..] {
        identity.chain_pem.push_str(authority.pem());
    }
    let before = stage.gateway.cpu_time().await;
    refused(&stage, "a maze", &identity).await;
    let spent = stage.gateway.cpu_time().await.saturating_sub(before);
    assert!(spent.as_secs() < 5, "{spent:?} of a processor");
    assert_eq!(stage.anonymous().get("/nowhere").await.status, 401);
}

#[tokio::test]
async fn mtls_015_a_token_bound_to_a_certificate_needs_it() {
    let clients = Authority::new("Clients");
    let stage = stage(&clients).await;
    let token = Genuine::of(&stage.alice().await);
    let bound = token.claim("cnf", serde_json::json!({ "x5t#S256": "A".repeat(43) })).signed();
    let alice = stage.anonymous().with_token(&bound);
    assert_eq!(alice.get("/api/x").await.status, 401, "without a certificate");
    let other = clients.client(&Client::named("root"));
    let with_other = alice.over(stage.gateway.tls().identity(&other));
    assert_eq!(with_other.get("/api/x").await.status, 401, "with another certificate");
    let in_header = Request::get("/api/x").header("Client-Cert", ":MIIB...:");
    assert_eq!(alice.send(in_header).await.status, 401, "with a certificate in a header");
    stage.assert_nothing_forwarded("a bound token without its certificate");
}

#[tokio::test]
async fn mtls_016_several_names_do_not_let_the_caller_choose() {
    let clients = Authority::new("Clients");
    let stage = stage(&clients).await;
    let several = Client::named("alice")
        .alternative(SanType::DnsName("alice".try_into().unwrap()))
        .alternative(SanType::DnsName("root".try_into().unwrap()))
        .alternative(SanType::URI("spiffe://x/root".try_into().unwrap()));
    refused(&stage, "several names", &clients.client(&several)).await;
}
