//! Forged and odd tokens; the ids are those of the security cases.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::sample::{
    claims, expectations, header, keyring, now, payload, secret, sign, sign_hmac, signing_key,
};
use super::{Algorithm, Invalid, Keyring, SigningKey, VerifyingKey};

fn refusal(keyring: &Keyring, token: &str) -> Invalid {
    keyring.verify(token, &expectations(), now()).unwrap_err()
}

fn with(base: &Value, name: &str, value: Value) -> String {
    let mut changed = base.clone();
    changed[name] = value;
    changed.to_string()
}

/// Every form of the public key that anybody could take for an HMAC secret.
fn public_forms(keyring: &Keyring) -> Vec<Vec<u8>> {
    let set: Value = serde_json::from_slice(&keyring.jwks(now())).unwrap();
    let jwk = &set["keys"][0];
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap_or("")).unwrap();
    let components = aws_lc_rs::rsa::PublicKeyComponents { n: part("n"), e: part("e") };
    let spki = aws_lc_rs::encoding::AsDer::as_der(&components).unwrap().as_ref().to_vec();
    let pkcs1 = aws_lc_rs::rsa::PublicKey::from_der(&spki).unwrap().as_ref().to_vec();
    let pem = |label: &str, der: &[u8]| {
        let body = STANDARD.encode(der);
        let lines: Vec<_> =
            body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    let text = pem("PUBLIC KEY", &spki);
    vec![
        text.clone().into_bytes(),
        pem("RSA PUBLIC KEY", &pkcs1).into_bytes(),
        format!("\n{text}").into_bytes(),
        format!("\u{feff}{text}").into_bytes(),
        text.trim_end().as_bytes().to_vec(),
        spki,
        pkcs1,
        jwk.to_string().into_bytes(),
        part("n"),
        Vec::new(),
    ]
}

#[test]
fn jwt_forgery_001_002_a_public_key_is_no_secret() {
    let (keyring, key) = keyring(Algorithm::Rs256);
    for form in public_forms(&keyring) {
        let named = json!({"alg": "HS256", "kid": key.id(), "typ": "JWT"}).to_string();
        let token = sign_hmac(&form, &named, &payload().to_string());
        assert_eq!(refusal(&keyring, &token), Invalid::Algorithm);
        let token = sign_hmac(&form, r#"{"alg":"HS256"}"#, &payload().to_string());
        assert_eq!(refusal(&keyring, &token), Invalid::Algorithm);
        // Nor does it become one where HS256 is in force beside it.
        let both = Keyring::new(signing_key(Algorithm::Hs256), vec![key.verifying_key()]).unwrap();
        assert_eq!(refusal(&both, &token), Invalid::Signature);
        // A name is not a wish: RS256 in the header, HMAC in the signature.
        let token = sign_hmac(&form, &header(&key).to_string(), &payload().to_string());
        assert_eq!(refusal(&keyring, &token), Invalid::Signature);
        if let Ok(text) = String::from_utf8(form)
            && text.contains("BEGIN")
        {
            assert!(SigningKey::parse(Algorithm::Hs256, &secret(&text)).is_err());
        }
    }
}

#[test]
fn jwt_forgery_003_unknown_algorithms_are_refused() {
    for algorithm in Algorithm::ALL {
        let (keyring, key) = keyring(algorithm);
        for name in [
            "none",
            "None",
            "NONE",
            "nOnE",
            "",
            " ",
            "foo",
            "HS999",
            "RS1",
            "RS256 ",
            "rs256",
            "es256",
            "EDDSA",
            "hs256",
            "ES256K",
            "ES384",
            "RS384",
            "RS512",
            "PS256",
            "HS384",
            "HS512",
            "dir",
            "none\u{0}",
            "RS256,HS256",
        ] {
            let forged = with(&header(&key), "alg", name.into());
            let token = sign(&key, &forged, &payload().to_string());
            assert_eq!(refusal(&keyring, &token), Invalid::Algorithm, "{name:?}");
            let (message, _) = token.rsplit_once('.').unwrap();
            assert_eq!(refusal(&keyring, &format!("{message}.")), Invalid::Segments);
            assert_eq!(refusal(&keyring, &format!("{message}.AA")), Invalid::Algorithm);
            assert_eq!(refusal(&keyring, message), Invalid::Segments);
        }
        for value in [json!(null), json!(1), json!(["RS256"]), json!({"a": 1}), json!(true)] {
            let token = sign(&key, &with(&header(&key), "alg", value), &payload().to_string());
            assert_eq!(refusal(&keyring, &token), Invalid::Algorithm);
        }
        let token = sign(&key, "{}", &payload().to_string());
        assert_eq!(refusal(&keyring, &token), Invalid::Algorithm);
    }
}

#[test]
fn jwt_forgery_004_the_key_pins_the_algorithm() {
    let (keyring, ec) = keyring(Algorithm::Es256);
    let rsa = signing_key(Algorithm::Rs256);
    let token = sign(&rsa, &header(&rsa).to_string(), &payload().to_string());
    assert_eq!(refusal(&keyring, &token), Invalid::UnknownKey);
    let stolen_name = with(&header(&rsa), "kid", ec.id().into());
    let token = sign(&rsa, &stolen_name, &payload().to_string());
    assert_eq!(refusal(&keyring, &token), Invalid::Algorithm);
    // The same RSA key, another padding or hash.
    let both = Keyring::new(rsa, vec![ec.verifying_key()]).unwrap();
    for algorithm in [jsonwebtoken::Algorithm::PS256, jsonwebtoken::Algorithm::RS384] {
        let (mut forged, own) = (jsonwebtoken::Header::new(algorithm), both.signing(now()));
        forged.kid = Some(own.id().into());
        let token = jsonwebtoken::encode(&forged, &payload(), &own.encoding).unwrap();
        assert_eq!(refusal(&both, &token), Invalid::Algorithm);
        // Disguised as RS256, the signature is another one.
        let (message, _) = token.rsplit_once('.').unwrap();
        let claimed = URL_SAFE_NO_PAD.encode(header(own).to_string());
        let disguised = format!("{claimed}.{}", message.split_once('.').unwrap().1);
        let signature = jsonwebtoken::crypto::sign(disguised.as_bytes(), &own.encoding, algorithm);
        let token = format!("{disguised}.{}", signature.unwrap());
        assert_eq!(refusal(&both, &token), Invalid::Signature);
    }
}

#[test]
fn jwt_forgery_005_006_009_010_headers_choose_no_keys_and_no_meaning() {
    let (keyring, key) = keyring(Algorithm::Es256);
    let own: Value = serde_json::from_slice(&keyring.jwks(now())).unwrap();
    let parameters = [
        ("jku", json!("https://evil.test/jwks.json")),
        ("jku", json!("http://169.254.169.254/")),
        ("x5u", json!("https://evil.test/chain.pem")),
        ("x5c", json!(["MIIB"])),
        ("jwk", own["keys"][0].clone()),
        ("jwk", json!({"kty": "oct", "k": ""})),
        ("crit", json!(["bork"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!("bork")),
        ("crit", json!(["b64"])),
        ("crit", json!(["cnf"])),
        ("crit", json!(null)),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("cty", json!("JWT")),
    ];
    for (name, value) in parameters {
        let forged = with(&header(&key), name, value);
        let token = sign(&key, &forged, &payload().to_string());
        assert_eq!(refusal(&keyring, &token), Invalid::Parameter, "{forged}");
    }
}

#[test]
fn jwt_forgery_007_a_key_id_is_only_compared() {
    let (keyring, key) = keyring(Algorithm::Hs256);
    let ids = [
        json!("../../../../dev/null"),
        json!("/proc/sys/kernel/randomize_va_space"),
        json!("x' UNION SELECT 'k'--"),
        json!("; id"),
        json!(""),
        json!(["array"]),
        json!({"o": 1}),
        json!(123),
        json!(null),
        json!("k".repeat(1000)),
        json!(key.id().to_uppercase()),
        json!(format!("{} ", key.id())),
    ];
    for id in ids {
        let forged = with(&header(&key), "kid", id);
        for guess in [&b""[..], &b"0"[..], &b"k"[..]] {
            let token = sign_hmac(guess, &forged, &payload().to_string());
            let reason = refusal(&keyring, &token);
            assert!(matches!(reason, Invalid::UnknownKey | Invalid::Header), "{forged}");
        }
        let token = sign(&key, &forged, &payload().to_string());
        assert!(keyring.verify(&token, &expectations(), now()).is_err(), "{forged}");
    }
}

#[test]
fn jwt_forgery_008_022_weak_secrets_are_refused_at_load() {
    let same = "a".repeat(64);
    for weak in
        ["", "secret", "changeme", "0123456789abcdef", "0123456789abcdef0123456789abcde", &same]
    {
        assert!(SigningKey::parse(Algorithm::Hs256, &secret(weak)).is_err(), "{weak:?}");
        assert!(VerifyingKey::secret(&secret(weak)).is_err(), "{weak:?}");
    }
    assert!(SigningKey::parse(Algorithm::Hs256, &secret(&"abcdefgh".repeat(513))).is_err());
    assert!(
        SigningKey::parse(Algorithm::Hs256, &secret("0123456789abcdef0123456789abcdef\n")).is_ok()
    );
}

#[test]
fn jwt_forgery_011_names_occur_once() {
    let (keyring, key) = keyring(Algorithm::Es256);
    let head = header(&key).to_string();
    let body = payload().to_string();
    let twice = |text: &str, member: &str| format!("{},{member}}}", &text[..text.len() - 1]);
    for member in [r#""alg":"ES256""#, r#""alg":"none""#, r#""a\u006cg":"none""#, r#""typ":"JWT""#]
    {
        let token = sign(&key, &twice(&head, member), &body);
        assert_eq!(refusal(&keyring, &token), Invalid::Duplicate, "{member}");
    }
    for member in [
        r#""sub":"root""#,
        r#""exp":9999999999"#,
        r#""app_roles":["admin"]"#,
        r#""s\u0075b":"root""#,
        r#""sub":"alice""#,
    ] {
        let token = sign(&key, &head, &twice(&body, member));
        assert_eq!(refusal(&keyring, &token), Invalid::Duplicate, "{member}");
    }
}

#[test]
fn jwt_forgery_012_013_encrypted_tokens_are_refused() {
    let (keyring, key) = keyring(Algorithm::Rs256);
    for algorithm in ["RSA-OAEP", "dir", "A128KW", "RSA1_5", "PBES2-HS256+A128KW"] {
        let head = json!({"alg": algorithm, "enc": "A128GCM", "kid": key.id()}).to_string();
        let head = URL_SAFE_NO_PAD.encode(head);
        assert_eq!(refusal(&keyring, &format!("{head}.a2V5.aXY.dGV4dA.dGFn")), Invalid::Segments);
        assert_eq!(refusal(&keyring, &format!("{head}..aXY.dGV4dA.dGFn")), Invalid::Segments);
        assert_eq!(refusal(&keyring, &format!("{head}.dGV4dA.dGFn")), Invalid::Parameter);
    }
}

#[test]
fn jwt_forgery_014_other_serializations_are_refused() {
    let (keyring, key) = keyring(Algorithm::Es256);
    let token = sign(&key, &header(&key).to_string(), &payload().to_string());
    let parts: Vec<_> = token.split('.').collect();
    let flat = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    let general = json!({"payload": parts[1], "signatures": [
        {"protected": parts[0], "signature": parts[2]}, {"protected": parts[0], "signature": "AA"}
    ]});
    let forms = [
        flat.to_string(),
        general.to_string(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}.{}", parts[2]),
        String::new(),
        ".".into(),
        "..".into(),
        format!(".{}.{}", parts[1], parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
    ];
    for form in forms {
        assert_eq!(refusal(&keyring, &form), Invalid::Segments, "{form}");
    }
    // A token inside a token.
    let nested = sign(&key, &header(&key).to_string(), &token);
    assert_eq!(refusal(&keyring, &nested), Invalid::Payload);
}

#[test]
fn jwt_forgery_015_a_token_has_one_spelling() {
    for algorithm in Algorithm::ALL {
        let (keyring, key) = keyring(algorithm);
        let token = sign(&key, &header(&key).to_string(), &payload().to_string());
        assert!(keyring.verify(&token, &expectations(), now()).is_ok());
        for cut in 1..=8 {
            assert_eq!(refusal(&keyring, &token[..token.len() - cut]), Invalid::Signature);
        }
        for odd in ["=", "==", " ", "\n", "\r\n", "\t", "%3D", "\u{a0}"] {
            assert_eq!(refusal(&keyring, &format!("{token}{odd}")), Invalid::Segments);
            assert_eq!(refusal(&keyring, &format!("{odd}{token}")), Invalid::Segments);
            assert_eq!(
                refusal(&keyring, &token.replacen('.', &format!("{odd}."), 1)),
                Invalid::Segments
            );
        }
        for tail in ["A", "AA", "AAAA"] {
            assert_eq!(refusal(&keyring, &format!("{token}{tail}")), Invalid::Signature);
        }
        assert_eq!(refusal(&keyring, &token.replacen('.', "+.", 1)), Invalid::Segments);
        assert_eq!(refusal(&keyring, &token.replacen('.', "/.", 1)), Invalid::Segments);
    }
}

#[test]
fn jwt_forgery_015_trailing_bits_are_zero() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for algorithm in Algorithm::ALL {
        let (keyring, key) = keyring(algorithm);
        let token = sign(&key, &header(&key).to_string(), &payload().to_string());
        // 32, 64 and 256 bytes all leave unused bits in the last letter.
        let last = *token.as_bytes().last().unwrap();
        let at = ALPHABET.iter().position(|letter| *letter == last).unwrap();
        let twin = format!("{}{}", &token[..token.len() - 1], char::from(ALPHABET[at + 1]));
        assert_eq!(refusal(&keyring, &twin), Invalid::Signature, "{algorithm:?}");
    }
}

#[test]
fn jwt_forgery_016_only_the_jose_form_of_an_ecdsa_signature_counts() {
    let (keyring, key) = keyring(Algorithm::Es256);
    let token = sign(&key, &header(&key).to_string(), &payload().to_string());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let integer = |bytes: &[u8]| {
        let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = usize::from(digits[0] & 0x80 != 0);
        let mut der = vec![2, u8::try_from(digits.len() + sign).unwrap()];
        der.extend(vec![0; sign]);
        der.extend(digits);
        der
    };
    let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
    let der = [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat();
    let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(der));
    assert_eq!(refusal(&keyring, &forged), Invalid::Signature);
    let zero = format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64]));
    assert_eq!(refusal(&keyring, &zero), Invalid::Signature);
}

#[test]
fn jwt_forgery_018_a_colliding_key_id_does_not_lend_a_key() {
    let (keyring, key) = keyring(Algorithm::Es256);
    let other = signing_key(Algorithm::Es256);
    let token = sign(&other, &header(&key).to_string(), &payload().to_string());
    assert_eq!(refusal(&keyring, &token), Invalid::Signature);
}

#[test]
fn jwt_forgery_020_bytes_cannot_be_swapped() {
    let (keyring, key) = keyring(Algorithm::EdDsa);
    let token = sign(&key, &header(&key).to_string(), &payload().to_string());
    let other = sign(&key, &header(&key).to_string(), &with(&payload(), "sub", "root".into()));
    let parts: Vec<_> = token.split('.').collect();
    let others: Vec<_> = other.split('.').collect();
    let swapped = format!("{}.{}.{}", parts[0], others[1], parts[2]);
    assert_eq!(refusal(&keyring, &swapped), Invalid::Signature);
    let swapped = format!("{}.{}.{}", parts[0], parts[1], others[2]);
    assert_eq!(refusal(&keyring, &swapped), Invalid::Signature);
}

#[test]
fn jwt_forgery_024_presence_is_no_proof() {
    let (keyring, _) = keyring(Algorithm::Rs256);
    for text in ["anything", "null", "undefined", "Bearer", "a.b.c", "....", "\u{0}", "é.é.é"] {
        assert!(keyring.verify(text, &expectations(), now()).is_err(), "{text:?}");
    }
}

#[test]
fn a_payload_that_is_no_object_is_refused() {
    let (keyring, key) = keyring(Algorithm::EdDsa);
    for body in ["[]", "\"x\"", "1", "null", "not json", " ", "{\"a\":"] {
        let token = sign(&key, &header(&key).to_string(), body);
        assert_eq!(refusal(&keyring, &token), Invalid::Payload, "{body}");
    }
}

#[test]
fn any_flipped_bit_refuses_the_token() {
    let (keyring, _) = keyring(Algorithm::EdDsa);
    let token = keyring.issue(&claims()).unwrap();
    let bytes = token.expose().as_bytes();
    for at in 0..bytes.len() {
        let mut forged = bytes.to_vec();
        forged[at] ^= 1;
        let Ok(forged) = String::from_utf8(forged) else { continue };
        assert!(keyring.verify(&forged, &expectations(), now()).is_err(), "byte {at}");
    }
}
