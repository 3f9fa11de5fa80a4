use std::io::{Read as _, Write as _};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, DnValue, IsCa, KeyPair, SanType,
};
use rustls::{ClientConfig, ClientConnection, ServerConnection};

use super::*;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "test CA");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(
    authority: &CertifiedIssuer<'static, KeyPair>,
    common_name: &str,
    names: &[&str],
) -> CertificatePem {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    CertificatePem {
        chain: certificate.pem().into_bytes(),
        key: Secret::new(key.serialize_pem()),
        origin: format!("{common_name}.pem"),
    }
}

fn leaf_der(pem: &CertificatePem) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&pem.chain).unwrap()
}

/// One handshake in memory; the caller may bring a certificate. What the client saw.
struct Handshake {
    server_leaf: CertificateDer<'static>,
    protocol: Option<Vec<u8>>,
    resumed: bool,
    peer: Option<PeerCertificate>,
}

fn client(
    authority: &CertifiedIssuer<'static, KeyPair>,
    identity: Option<&CertificatePem>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(pem) => builder
            .with_client_auth_cert(
                vec![leaf_der(pem)],
                PrivateKeyDer::from_pem_slice(pem.key.expose().as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn shake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<Handshake, rustls::Error> {
    let name = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    for _ in 0..10 {
        pass(&mut client, &mut server)?;
    }
    server.writer().write_all(b"x").unwrap();
    pass(&mut client, &mut server)?;
    let _ = client.reader().read(&mut [0; 8]);
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(Handshake {
        server_leaf: client.peer_certificates().unwrap()[0].clone().into_owned(),
        protocol: server.alpn_protocol().map(<[u8]>::to_vec),
        resumed: server.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        peer: server.peer_certificates().map(|chain| facts(&chain[0])),
    })
}

fn pass(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), rustls::Error> {
    let mut wire = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut wire).unwrap();
    }
    let mut wire = wire.as_slice();
    while !wire.is_empty() {
        server.read_tls(&mut wire).unwrap();
        server.process_new_packets()?;
    }
    let mut wire = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut wire).unwrap();
    }
    let mut wire = wire.as_slice();
    while !wire.is_empty() {
        client.read_tls(&mut wire).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

fn tls(certificates: Vec<CertificatePem>, client: ClientCertificates) -> ListenerTls {
    ListenerTls { certificates, client }
}

#[test]
fn the_certificate_is_chosen_by_name_wildcard_or_position() {
    let ca = authority();
    let first = leaf(&ca, "first", &["first.test", "fallback.test"]);
    let exact = leaf(&ca, "exact", &["a.wild.test"]);
    let wild = leaf(&ca, "wild", &["*.wild.test", "first.test"]);
    let all = vec![first.clone(), exact.clone(), wild.clone()];
    let by_name = CertificatesByName::new(&all).unwrap();
    for (name, expected) in [
        (Some("first.test"), &first),
        (Some("A.WILD.test"), &exact),
        (Some("a.wild.test."), &exact),
        (Some("b.wild.test"), &wild),
        (Some("c.b.wild.test"), &first),
        (Some("unknown.test"), &first),
        (None, &first),
    ] {
        assert_eq!(by_name.find(name).cert[0], leaf_der(expected), "{name:?}");
    }
    let server = server_config(&tls(all, ClientCertificates::None)).unwrap();
    let shaken = shake(&server, &client(&ca, None), "b.wild.test").unwrap();
    assert_eq!(shaken.server_leaf, leaf_der(&wild));
    assert_eq!(shaken.protocol.as_deref(), Some(&b"h2"[..]));
}

#[test]
fn sessions_resume_only_where_no_client_certificate_is_asked_for() {
    let ca = authority();
    let pem = leaf(&ca, "server", &["server.test"]);
    let ca_pem = ca.pem().into_bytes();
    for (clients, resumes) in [
        (ClientCertificates::None, true),
        (ClientCertificates::Optional(ca_pem.clone()), false),
        (ClientCertificates::Required(ca_pem), false),
    ] {
        let server = server_config(&tls(vec![pem.clone()], clients)).unwrap();
        let client = client(&ca, Some(&leaf(&ca, "caller", &["caller.test"])));
        assert!(!shake(&server, &client, "server.test").unwrap().resumed);
        assert_eq!(shake(&server, &client, "server.test").unwrap().resumed, resumes);
    }
}

#[test]
fn a_required_client_certificate_is_demanded_and_an_optional_one_is_verified() {
    let (ca, other) = (authority(), authority());
    let pem = leaf(&ca, "server", &["server.test"]);
    let ca_pem = ca.pem().into_bytes();
    let config = |client| server_config(&tls(vec![pem.clone()], client)).unwrap();
    let required = config(ClientCertificates::Required(ca_pem.clone()));
    let optional = config(ClientCertificates::Optional(ca_pem));
    let known = client(&ca, Some(&leaf(&ca, "caller", &["caller.test"])));
    let foreign = client(&ca, Some(&leaf(&other, "caller", &["caller.test"])));
    let nobody = client(&ca, None);
    assert!(shake(&required, &nobody, "server.test").is_err());
    assert!(shake(&required, &foreign, "server.test").is_err());
    assert!(shake(&optional, &foreign, "server.test").is_err());
    assert!(shake(&optional, &nobody, "server.test").unwrap().peer.is_none());
    for config in [required, optional] {
        let peer = shake(&config, &known, "server.test").unwrap().peer.unwrap();
        assert_eq!(peer.common_name.as_deref(), Some("caller"));
        assert_eq!(peer.sans, [Box::from("dns:caller.test")]);
    }
}

#[test]
fn a_key_of_another_certificate_and_unreadable_pem_are_refused() {
    let ca = authority();
    let good = leaf(&ca, "good", &["good.test"]);
    let other = leaf(&ca, "other", &["other.test"]);
    let fault =
        |pem: CertificatePem| server_config(&tls(vec![pem], ClientCertificates::None)).unwrap_err();
    let origin = || "good.pem".to_owned();
    let wrong_key = CertificatePem { key: other.key.clone(), ..good.clone() };
    assert_eq!(fault(wrong_key), CertificateError::Mismatch(origin()));
    let no_chain = CertificatePem { chain: b"hello".to_vec(), ..good.clone() };
    assert_eq!(fault(no_chain), CertificateError::Chain(origin()));
    let no_key = CertificatePem { key: Secret::new("hello"), ..good.clone() };
    assert_eq!(fault(no_key), CertificateError::Key(origin()));
    assert_eq!(
        server_config(&tls(vec![], ClientCertificates::None)).unwrap_err(),
        CertificateError::None
    );
    for empty in [Vec::new(), b"hello".to_vec()] {
        let clients = ClientCertificates::Required(empty);
        let refused = server_config(&tls(vec![good.clone()], clients)).unwrap_err();
        assert_eq!(refused, CertificateError::ClientCa);
    }
}

#[test]
fn only_one_clean_common_name_counts() {
    let named = |values: &[&str]| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for value in values {
            params
                .distinguished_name
                .push(DnType::CommonName, DnValue::Utf8String((*value).to_owned()));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        facts(certificate.der()).common_name
    };
    assert_eq!(named(&["alice"]).as_deref(), Some("alice"));
    assert_eq!(named(&["alice\0.evil.test"]), None);
    assert_eq!(named(&["alice\nroot"]), None);
    assert_eq!(named(&[""]), None);
    assert_eq!(named(&[]), None);
}

#[test]
fn alternative_names_carry_their_kind() {
    let mut params = CertificateParams::new(vec!["alice.test".to_owned()]).unwrap();
    let uri = "spiffe://test/alice".try_into().unwrap();
    params.subject_alt_names.push(SanType::URI(uri));
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let facts = facts(certificate.der());
    assert_eq!(facts.sans, ["dns:alice.test".into(), Box::from("uri:spiffe://test/alice")]);
    assert_eq!(facts.thumbprint[..], Sha256::digest(certificate.der())[..]);
}

#[test]
fn what_is_no_certificate_has_a_thumbprint_only() {
    let facts = facts(&CertificateDer::from(b"not DER".to_vec()));
    assert_eq!(facts.common_name, None);
    assert!(facts.sans.is_empty());
}

#[test]
fn the_validity_of_the_leaf_is_read() {
    let pem = leaf(&authority(), "a", &["a.test"]);
    let validity = validity(&pem.chain).unwrap();
    assert!(validity.from.until(validity.until) > Duration::from_secs(365 * 86_400));
}
