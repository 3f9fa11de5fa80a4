//! A token is believed by the key and algorithm that the gateway chose, and by no other.

mod providers;

use aws_lc_rs::signature::{RSA_PKCS1_SHA384, RSA_PSS_SHA256};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Stage;
use crate::harness::tokens::{
    Genuine, Rsa, Signer, decode, elliptic_key, encode, pem, signing_key, token,
};
use crate::harness::{Request, Setup, Upstream, cli, until};

async fn genuine(stage: &Stage) -> Genuine {
    let token = Genuine::of(&stage.root().await);
    // Signed again by hand it is still good: what the tests refuse, they refuse for its flaw.
    let again = stage.anonymous().with_token(&token.clone().signed());
    assert_eq!(again.get("/admin/x").await.status, 200);
    stage.upstream.forget();
    token
}

fn confused_secrets() -> Vec<(&'static str, Vec<u8>)> {
    let key = signing_key();
    let spki = key.public_pem();
    vec![
        ("SPKI PEM", spki.clone().into_bytes()),
        ("PKCS1 PEM", pem("RSA PUBLIC KEY", &key.pkcs1_der()).into_bytes()),
        ("PEM with leading newline", format!("\n{spki}").into_bytes()),
        ("PEM without trailing newline", spki.trim_end().as_bytes().to_vec()),
        ("PEM with CR LF", spki.replace('\n', "\r\n").into_bytes()),
        ("DER", key.public_der()),
        ("PKCS1 DER", key.pkcs1_der()),
        ("JWK JSON", key.jwk().to_string().into_bytes()),
        ("raw modulus", key.modulus()),
        ("empty", Vec::new()),
    ]
}

#[tokio::test]
async fn jwt_forgery_001_a_public_key_is_no_shared_secret() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    let published = stage.anonymous().get("/.well-known/jwks.json").await;
    let mut secrets = confused_secrets();
    secrets.push(("the published JWK Set", published.body.clone()));
    secrets.push(("the published JWK", published.json()["keys"][0].to_string().into_bytes()));
    for (what, secret) in secrets {
        for kid in [true, false] {
            let mut forged = token.clone().parameter("alg", json!("HS256"));
            if !kid {
                forged = forged.parameter("kid", Value::Null);
            }
            stage.refuses_token(what, &forged.signed_by(&Signer::Hs256(&secret))).await;
        }
    }
}

#[tokio::test]
async fn jwt_forgery_002_white_space_before_a_key_does_not_make_it_a_secret() {
    for prefix in ["\n  ", "\u{feff}", "\t"] {
        let upstream = Upstream::start().await;
        let text = format!("{prefix}{}", signing_key().private_pem());
        let public = format!("{prefix}{}", signing_key().public_pem());
        let setup = Setup::standard(&upstream.url())
            .file("signing.pem", &text)
            .file("old.pem", &public)
            .set("tokens.verifying_keys_files", "[\"old.pem\"]");
        let directory = tempfile::tempdir().unwrap();
        setup.write(directory.path());
        let checked = cli::run(directory.path(), &["check", "--config", "guarita.toml"], "").await;
        if checked.code != 0 {
            checked.failed(2);
            continue;
        }
        let stage = Stage { gateway: setup.start().await, upstream };
        let token = Genuine::of(&stage.root().await).parameter("alg", json!("HS256"));
        for secret in [text, public] {
            stage.refuses_token(prefix, &token.signed_by(&Signer::Hs256(secret.as_bytes()))).await;
        }
    }
}

#[tokio::test]
async fn jwt_forgery_003_unknown_algorithms_are_refused() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    for algorithm in [
        json!("none"),
        json!("None"),
        json!("NONE"),
        json!("nOnE"),
        json!(""),
        json!("foo"),
        json!("HS999"),
        json!("RS1"),
        json!("RS256 "),
        json!("rs256"),
        json!("ES256K"),
        json!("dir"),
        json!(["RS256"]),
        json!(7),
        Value::Null,
    ] {
        let forged = token.clone().parameter("alg", algorithm.clone());
        let what = algorithm.to_string();
        for signer in [Signer::Bytes(b""), Signer::Bytes(b"anything"), Signer::Rs256(signing_key())]
        {
            stage.refuses_token(&what, &forged.signed_by(&signer)).await;
        }
        let unsigned = forged.signed_by(&Signer::Bytes(b""));
        stage.refuses_token(&what, unsigned.trim_end_matches('.')).await;
    }
}

#[tokio::test]
async fn jwt_forgery_004_the_algorithm_belongs_to_the_key() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    for (name, padding) in [
        ("PS256", &RSA_PSS_SHA256 as &'static dyn aws_lc_rs::signature::RsaEncoding),
        ("RS384", &RSA_PKCS1_SHA384),
    ] {
        let forged = token.clone().parameter("alg", json!(name));
        let signer = Signer::Rsa(signing_key(), padding);
        stage.refuses_token(name, &forged.signed_by(&signer)).await;
        // Nor under the pinned name.
        stage.refuses_token(name, &token.signed_by(&signer)).await;
    }

    let (private, _key) = elliptic_key();
    let pinned = Stage::with(|setup| {
        setup.set("tokens.algorithm", "\"ES256\"").file("signing.pem", &private)
    })
    .await;
    let token = Genuine::of(&pinned.root().await);
    assert_eq!(token.header["alg"], "ES256");
    pinned.refuses_token("RS256", &token.clone().parameter("alg", json!("RS256")).signed()).await;
    pinned.refuses_token("ES256", &token.signed()).await;
}

#[tokio::test]
async fn jwt_forgery_005_a_token_names_no_place_to_fetch_keys_from() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    let sink = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", sink.local_addr().unwrap());
    let own = "https://app.example.test/public/redirect?to=evil";
    let attacker = Rsa::another();
    for (name, value) in [
        ("jku", url.as_str()),
        ("x5u", url.as_str()),
        ("jku", own),
        ("jku", "http://169.254.169.254/"),
        ("jku", "file:///etc/passwd"),
    ] {
        let forged = token.clone().parameter(name, json!(value));
        stage.refuses_token(name, &forged.signed_by(&Signer::Rs256(&attacker))).await;
        stage.refuses_token(name, &forged.signed()).await;
    }
    let waiting = sink.accept();
    tokio::pin!(waiting);
    let asked = futures_util::FutureExt::now_or_never(&mut waiting);
    assert!(asked.is_none(), "the gateway asked the address in the token");
}

#[tokio::test]
async fn jwt_forgery_006_a_token_brings_no_key_of_its_own() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    let attacker = Rsa::another();
    let leaf = crate::harness::Authority::new("attacker").server(&["evil.test"]);
    let leaf = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        leaf.chain()[0].as_ref(),
    );
    for (name, value) in [
        ("x5c", json!([leaf])),
        ("x5t", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ("jwk", attacker.jwk()),
        ("jwk", json!({ "kty": "oct", "k": "" })),
    ] {
        let forged = token.clone().parameter(name, value);
        stage.refuses_token(name, &forged.signed_by(&Signer::Rs256(&attacker))).await;
        let shared = forged.parameter("alg", json!("HS256"));
        stage.refuses_token(name, &shared.signed_by(&Signer::Hs256(b""))).await;
    }
}

#[tokio::test]
async fn jwt_forgery_007_a_key_id_is_only_compared() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    for kid in [
        json!("../../../../dev/null"),
        json!("/proc/sys/kernel/randomize_va_space"),
        json!("x' UNION SELECT 'k'--"),
        json!("; id"),
        json!(""),
        json!(["array"]),
        json!({ "o": 1 }),
        json!(123),
        json!("k".repeat(1024)),
        json!("k".repeat(64 * 1024)),
    ] {
        let forged = token.clone().parameter("kid", kid.clone());
        let shown = kid.to_string();
        let shared = forged.clone().parameter("alg", json!("HS256"));
        stage.refuses_token(&shown, &shared.signed_by(&Signer::Hs256(b""))).await;
        // A key of ours does not help under a name that is not its own.
        stage.refuses_token(&shown, &forged.signed()).await;
    }
}

#[tokio::test]
async fn jwt_forgery_008_an_empty_or_short_secret_signs_nothing() {
    let secret = "a secret of forty characters, for sure!!";
    let stage =
        Stage::with(|setup| setup.set("tokens.algorithm", "\"HS256\"").file("signing.pem", secret))
            .await;
    let token = Genuine::of(&stage.root().await);
    assert_eq!(token.header["alg"], "HS256");
    let published = stage.anonymous().get("/.well-known/jwks.json").await;
    assert!(!published.text().contains("oct") && !published.text().contains("\"k\""));
    let again = token.signed_by(&Signer::Hs256(secret.as_bytes()));
    assert_eq!(stage.anonymous().with_token(&again).get("/api/x").await.status, 200);
    stage.upstream.forget();
    for forged in [&b""[..], &[0; 3], &[0; 64], b"secret", &secret.as_bytes()[..39]] {
        stage.refuses_token("a short secret", &token.signed_by(&Signer::Hs256(forged))).await;
    }
}

#[tokio::test]
async fn jwt_forgery_009_critical_parameters_are_refused() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    for critical in
        [json!(["bork"]), json!(["exp"]), json!([]), json!("bork"), json!(["b64"]), json!(["cnf"])]
    {
        let forged = token.clone().parameter("crit", critical.clone()).parameter("bork", json!(1));
        stage.refuses_token(&critical.to_string(), &forged.signed()).await;
    }
}

#[tokio::test]
async fn jwt_forgery_010_an_unencoded_payload_is_refused() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    for critical in [json!(["b64"]), Value::Null] {
        let forged = token.clone().parameter("b64", json!(false)).parameter("crit", critical);
        stage.refuses_token("b64", &forged.signed()).await;
        let header = encode(forged.header.to_string());
        let message = format!("{header}.{}", forged.claims);
        let signature =
            signing_key().sign(&aws_lc_rs::signature::RSA_PKCS1_SHA256, message.as_bytes());
        let raw = format!("{message}.{}", encode(signature));
        let request = Request::get("/api/x").bearer(&raw);
        assert!([400, 401].contains(&stage.anonymous().send(request).await.status));
    }
    stage.assert_nothing_forwarded("an unencoded payload");
}

#[tokio::test]
async fn jwt_forgery_011_members_named_twice_are_refused() {
    let stage = Stage::new().await;
    let good = genuine(&stage).await;
    let (header, claims) = (good.header.to_string(), good.claims.to_string());
    let twice = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let signer = Signer::Rs256(signing_key());
    for member in ["\"alg\":\"none\"", "\"alg\":\"RS256\"", "\"kid\":\"other\""] {
        stage.refuses_token(member, &token(&twice(&header, member), &claims, &signer)).await;
    }
    for member in [
        "\"sub\":\"alice\"",
        "\"exp\":99999999999",
        "\"app_roles\":[\"user\"]",
        "\"iss\":\"ms-auth\"",
        "\"aud\":\"api\"",
        "\"sid\":\"x\"",
        "\"s\\u0075b\":\"alice\"",
    ] {
        stage.refuses_token(member, &token(&header, &twice(&claims, member), &signer)).await;
    }
}

#[tokio::test]
async fn jwt_forgery_012_what_is_encrypted_is_not_thereby_signed() {
    let stage = Stage::new().await;
    let good = genuine(&stage).await;
    let inner = good.parameter("alg", json!("none")).signed_by(&Signer::Bytes(b""));
    let header = json!({ "alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT" }).to_string();
    let parts = [header.as_bytes(), &[7; 256], &[1; 12], inner.as_bytes(), &[2; 16]];
    stage.refuses_token("a JWE", &parts.map(encode).join(".")).await;
    // A nested token, signed outside by nobody.
    let nested =
        token(&json!({ "alg": "RS256", "cty": "JWT" }).to_string(), &inner, &Signer::Bytes(b"x"));
    stage.refuses_token("a nested token", &nested).await;
}

#[tokio::test]
async fn jwt_forgery_013_no_decryption_is_attempted() {
    let stage = Stage::new().await;
    let good = genuine(&stage).await;
    for algorithm in ["dir", "A128KW", "RSA1_5", "PBES2-HS256+A128KW"] {
        let header =
            json!({ "alg": algorithm, "enc": "A128GCM", "p2c": 2_000_000_000, "p2s": "AA" });
        let header = header.to_string();
        let parts =
            [header.as_bytes(), &[7; 32], &[1; 12], good.claims.to_string().as_bytes(), &[2; 16]]
                .map(encode);
        let before = stage.gateway.cpu_time().await;
        stage.refuses_token(algorithm, &parts.join(".")).await;
        let spent = stage.gateway.cpu_time().await.saturating_sub(before);
        assert!(spent.as_secs() < 5, "{algorithm} took {spent:?} of a processor");
    }
}

#[tokio::test]
async fn jwt_forgery_014_only_the_compact_form_of_three_parts_is_read() {
    let stage = Stage::new().await;
    let good = genuine(&stage).await.signed();
    let parts: Vec<_> = good.split('.').collect();
    let flattened =
        json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] }).to_string();
    let general = json!({
        "payload": parts[1],
        "signatures": [
            { "protected": parts[0], "signature": parts[2] },
            { "protected": parts[0], "signature": "AAAA" },
        ],
    });
    for (what, forged) in [
        ("flattened", flattened.clone()),
        ("general", general.to_string()),
        ("flattened in base64url", encode(&flattened)),
        ("four parts", format!("{good}.AAAA")),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("an empty fourth part", format!("{good}.")),
        ("an empty first part", format!(".{good}")),
    ] {
        stage.refuses_token(what, &forged).await;
    }
}

#[tokio::test]
async fn jwt_forgery_015_a_token_has_one_spelling() {
    let stage = Stage::new().await;
    let good = genuine(&stage).await.signed();
    let (message, signature) = good.rsplit_once('.').unwrap();
    for length in 1..=8 {
        stage.refuses_token("truncated", &good[..good.len() - length]).await;
    }
    let flipped = |character: char| {
        // The last character of 256 bytes carries four unused bits.
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let index = alphabet.find(character).unwrap();
        alphabet.as_bytes()[index | 1] as char
    };
    let last = signature.chars().last().unwrap();
    for (what, forged) in [
        ("padding", format!("{good}=")),
        ("more padding", format!("{good}==")),
        ("extra bytes", format!("{good}AAAA")),
        ("trailing line break", format!("{good}%0a")),
        (
            "unused bits",
            format!("{message}.{}{}", &signature[..signature.len() - 1], flipped(last)),
        ),
        ("four parts", format!("{message}..{signature}")),
    ] {
        stage.refuses_token(what, &forged).await;
    }
    let other = good.replace('-', "+").replace('_', "/");
    if other != good {
        stage.refuses_token("the other alphabet", &other).await;
    }
}

#[tokio::test]
async fn jwt_forgery_016_a_twin_signature_shares_its_session_s_fate() {
    let (private, _key) = elliptic_key();
    let stage = Stage::with(|setup| {
        setup.set("tokens.algorithm", "\"ES256\"").file("signing.pem", &private)
    })
    .await;
    let alice = stage.alice().await;
    let good = alice.token.clone().unwrap();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let raw = decode(signature);
    let twin = format!("{message}.{}", encode([&raw[..32], &negated(&raw[32..])].concat()));
    let der = format!("{message}.{}", encode(to_der(&raw)));
    stage.refuses_token("DER", &der).await;
    let before = alice.with_token(&twin).get("/api/x").await.status;
    assert!([200, 401].contains(&before));
    assert_eq!(alice.log_out().await.status, 204);
    stage.upstream.forget();
    for dead in [&good, &twin] {
        stage.refuses_token("a token of a session that ended", dead).await;
    }
}

/// `n - s` for the order n of P-256.
fn negated(value: &[u8]) -> Vec<u8> {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32)
        .map(|index| u8::from_str_radix(&ORDER[index * 2..index * 2 + 2], 16).unwrap())
        .collect();
    let mut difference = vec![0; 32];
    let mut borrow = 0;
    for index in (0..32).rev() {
        let result = i16::from(order[index]) - i16::from(value[index]) - borrow;
        borrow = i16::from(result < 0);
        difference[index] = u8::try_from(result.rem_euclid(256)).unwrap();
    }
    difference
}

fn to_der(raw: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let mut value = bytes.to_vec();
        if value[0] & 0x80 != 0 {
            value.insert(0, 0);
        }
        [&[2, u8::try_from(value.len()).unwrap()], &value[..]].concat()
    };
    let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

/// An RSA public key with this modulus length and exponent, whatever it is worth.
fn weak_key(modulus_length: usize, exponent: &[u8]) -> String {
    let element = |tag: u8, content: &[u8]| {
        let length = content.len();
        let mut bytes = vec![tag];
        match length {
            0..128 => bytes.push(u8::try_from(length).unwrap()),
            128..256 => bytes.extend([0x81, u8::try_from(length).unwrap()]),
            _ => bytes.extend([
                0x82,
                u8::try_from(length >> 8).unwrap(),
                u8::try_from(length & 255).unwrap(),
            ]),
        }
        bytes.extend_from_slice(content);
        bytes
    };
    let mut modulus = vec![0];
    modulus.extend(signing_key().modulus().into_iter().take(modulus_length));
    *modulus.last_mut().unwrap() |= 1;
    let key = element(0x30, &[element(2, &modulus), element(2, exponent)].concat());
    let algorithm = [0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let bits = element(3, &[&[0][..], &key].concat());
    pem("PUBLIC KEY", &element(0x30, &[&algorithm[..], &bits].concat()))
}

#[tokio::test]
async fn jwt_forgery_017_weak_keys_are_refused_at_load() {
    let upstream = Upstream::start().await;
    for (what, key) in [
        ("RSA of 1024 bits", weak_key(128, &[1, 0, 1])),
        ("RSA of 512 bits", weak_key(64, &[1, 0, 1])),
        ("RSA with exponent 1", weak_key(256, &[1])),
        ("a private key where a public one belongs", Rsa::another().private_pem()),
        ("no key at all", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".into()),
    ] {
        let directory = tempfile::tempdir().unwrap();
        Setup::standard(&upstream.url())
            .file("old.pem", key)
            .set("tokens.verifying_keys_files", "[\"old.pem\"]")
            .write(directory.path());
        let outcome = cli::run(directory.path(), &["check", "--config", "guarita.toml"], "").await;
        assert_eq!(outcome.code, 2, "{what} was accepted: {}", outcome.output());
    }
}

#[tokio::test]
async fn jwt_forgery_019_every_kind_of_token_opens_only_its_own_door() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let (access, refresh) = (alice.token.clone().unwrap(), alice.refresh_token.clone().unwrap());
    stage.refuses_token("a refresh token", &refresh).await;
    let body = json!({ "refreshToken": access });
    let answer = stage.anonymous().post("/auth/refresh", &body).await;
    answer.assert_problem(401, "invalid_refresh_token");
    for path in ["/recover/confirm", "/verify-email/confirm", "/auth/mfa/challenge"] {
        for text in [&access, &refresh] {
            let body = json!({ "token": text, "mfaToken": text, "password": "a new long password", "method": "totp", "code": "000000" });
            let status = stage.anonymous().post(path, &body).await.status;
            assert!((400..500).contains(&status), "{path}: {status}");
        }
    }
    // All of that did no harm to what the tokens are for.
    assert_eq!(alice.get("/api/x").await.status, 200);
    assert_eq!(alice.refresh().await.status, 200);
}

#[tokio::test]
async fn jwt_forgery_020_a_warm_cache_checks_every_byte_and_every_demand() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    for _ in 0..3 {
        assert_eq!(alice.get("/api/x").await.status, 200);
    }
    stage.upstream.forget();
    let token = Genuine::of(&alice);
    let parts: Vec<_> = token.text.split('.').collect();
    let root = token.clone().claim("app_roles", json!(["admin"])).claim("sub", json!("root"));
    let swapped = format!("{}.{}.{}", parts[0], encode(root.claims.to_string()), parts[2]);
    stage.refuses_token("another payload", &swapped).await;
    let other = token.signed_by(&Signer::Rs256(&Rsa::another()));
    stage.refuses_token("another signature", &other).await;
    let mut bytes = token.text.clone().into_bytes();
    let middle = bytes.len() - 100;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    stage.refuses_token("one byte", &String::from_utf8(bytes).unwrap()).await;
    assert_eq!(alice.get("/admin/x").await.status, 403);
    stage.assert_nothing_forwarded("a request with a forged or weaker token");
}

#[tokio::test]
async fn jwt_forgery_021_a_bad_signature_hides_everything_else() {
    let stage = Stage::with(|setup| setup.set("log.level", "\"debug\"")).await;
    let token = genuine(&stage).await.claim("sub", json!("a-name-nobody-has"));
    let stranger = Rsa::another();
    for (name, value) in [("exp", 1_000_000), ("nbf", 99_999_999_999_u64)] {
        let forged = token.clone().claim(name, json!(value));
        stage.refuses_token(name, &forged.signed_by(&Signer::Rs256(&stranger))).await;
    }
    assert!(!stage.gateway.log.text().contains("a-name-nobody-has"));
    let audit = format!("{:?}", stage.gateway.audit());
    assert!(!audit.contains("a-name-nobody-has"), "{audit}");
}

#[tokio::test]
async fn jwt_forgery_022_weak_secrets_stop_the_start() {
    let upstream = Upstream::start().await;
    for secret in ["", "secret", "changeme", "sixteen bytes !!", "thirty-one bytes of secret here"]
    {
        let directory = tempfile::tempdir().unwrap();
        Setup::standard(&upstream.url())
            .set("tokens.algorithm", "\"HS256\"")
            .file("signing.pem", secret)
            .write(directory.path());
        for verb in ["check", "serve"] {
            let outcome = cli::run(directory.path(), &[verb, "--config", "guarita.toml"], "").await;
            assert_eq!(outcome.code, 2, "{verb} with {secret:?}: {}", outcome.output());
            assert!(secret.is_empty() || secret == "secret" || !outcome.output().contains(secret));
        }
    }
}

#[tokio::test]
async fn jwt_forgery_023_a_removed_key_verifies_nothing_any_more() {
    let mut stage = Stage::new().await;
    let alice = stage.alice().await;
    assert_eq!(alice.get("/api/x").await.status, 200);
    let next = Rsa::another();
    let old = signing_key().public_pem();
    let overlap = stage
        .gateway
        .setup
        .clone()
        .file("signing.pem", next.private_pem())
        .file("old.pem", old)
        .set("tokens.verifying_keys_files", "[\"old.pem\"]");
    assert!(stage.gateway.reload(overlap).await);
    assert_eq!(alice.get("/api/x").await.status, 200, "the old key is still published");
    let keys = stage.anonymous().get("/.well-known/jwks.json").await.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);

    let alone = stage.gateway.setup.clone().unset("tokens.verifying_keys_files");
    assert!(stage.gateway.reload(alone).await);
    stage.upstream.forget();
    let token = alice.token.clone().unwrap();
    until("the removed key to be forgotten", || async {
        (alice.get("/api/x").await.status == 401).then_some(())
    })
    .await;
    stage.upstream.forget();
    stage.refuses_token("a removed key", &token).await;
    assert_eq!(stage.alice().await.get("/api/x").await.status, 200);
}

#[tokio::test]
async fn jwt_forgery_024_having_a_token_proves_nothing() {
    let stage = Stage::new().await;
    for token in ["anything", "a.b.c", "..", "null", "undefined", "Bearer", "e30.e30."] {
        stage.refuses_token(token, token).await;
    }
}

#[tokio::test]
async fn jwt_forgery_025_bytes_do_not_move_across_the_parts() {
    let stage = Stage::new().await;
    let text = genuine(&stage).await.signed();
    let [first, second] = [text.find('.').unwrap(), text.rfind('.').unwrap()];
    let plain: String = text.chars().filter(|character| *character != '.').collect();
    for (left, right) in [
        (first - 1, second - 1),
        (first + 1, second - 1),
        (first, second - 2),
        (first, second),
        (first - 4, second - 5),
        (first + 4, second + 3),
    ] {
        let mut moved = plain.clone();
        moved.insert(left, '.');
        moved.insert(right + 1, '.');
        if moved != text {
            stage.refuses_token("moved", &moved).await;
        }
    }
    let refresh = stage.alice().await.refresh_token.unwrap();
    for altered in [
        refresh.replace('.', ""),
        format!("{refresh}."),
        format!(".{refresh}"),
        refresh.to_uppercase(),
    ] {
        if altered != refresh {
            let body = json!({ "refreshToken": altered });
            let answer = stage.anonymous().post("/auth/refresh", &body).await;
            answer.assert_problem(401, "invalid_refresh_token");
        }
    }
}
