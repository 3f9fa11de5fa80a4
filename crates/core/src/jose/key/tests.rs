use super::super::sample::secret;
use super::*;

fn armour(label: &str, der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The octets after the first `tag` whose content ends the document: PKCS#8 wraps the older forms.
fn unwrap_pkcs8(text: &Secret) -> Vec<u8> {
    let (_, der) = pem::read(text.expose()).unwrap();
    let (_, info) = x509_parser::der_parser::parse_der(&der).unwrap();
    info.as_sequence().unwrap()[2].as_slice().unwrap().to_vec()
}

fn spki(key: &VerifyingKey) -> String {
    let Some(Jwk::Rsa { n, e }) = key.jwk() else { panic!("an RSA key") };
    let part = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let components = RsaPublicKeyComponents { n: part(n), e: part(e) };
    armour("PUBLIC KEY", aws_lc_rs::encoding::AsDer::as_der(&components).unwrap().as_ref())
}

#[test]
fn names_of_algorithms_are_exact() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
        let json = format!("\"{}\"", algorithm.as_str());
        assert_eq!(serde_json::from_str::<Algorithm>(&json).unwrap(), algorithm);
        assert_eq!(serde_json::to_string(&algorithm).unwrap(), json);
    }
    for name in ["none", "rs256", "RS256 ", "", "PS256"] {
        assert_eq!(Algorithm::parse(name), None, "{name:?}");
    }
}

#[test]
fn a_generated_key_reads_back_under_its_own_algorithm_only() {
    for algorithm in Algorithm::ALL {
        let text = SigningKey::generate(algorithm).unwrap();
        let key = SigningKey::parse(algorithm, &text).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(key.id(), SigningKey::parse(algorithm, &text).unwrap().id());
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            assert!(SigningKey::parse(other, &text).is_err(), "{algorithm:?} as {other:?}");
        }
    }
}

#[test]
fn older_private_forms_are_the_same_key() {
    let rsa = SigningKey::generate(Algorithm::Rs256).unwrap();
    let pkcs1 = secret(&armour("RSA PRIVATE KEY", &unwrap_pkcs8(&rsa)));
    let same = SigningKey::parse(Algorithm::Rs256, &pkcs1).unwrap();
    assert_eq!(same.id(), SigningKey::parse(Algorithm::Rs256, &rsa).unwrap().id());
    let ec = SigningKey::generate(Algorithm::Es256).unwrap();
    let sec1 = armour("EC PRIVATE KEY", &unwrap_pkcs8(&ec));
    let parameters = armour("EC PARAMETERS", &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    for text in [sec1.clone(), format!("{parameters}{sec1}")] {
        let same = SigningKey::parse(Algorithm::Es256, &secret(&text)).unwrap();
        assert_eq!(same.id(), SigningKey::parse(Algorithm::Es256, &ec).unwrap().id());
    }
}

#[test]
fn a_public_key_reads_as_spki_pkcs1_and_certificate() {
    let key = SigningKey::parse(Algorithm::Rs256, &SigningKey::generate(Algorithm::Rs256).unwrap())
        .unwrap();
    let spki = spki(&key.verifying);
    let pkcs1 = {
        let (_, der) = pem::read(&spki).unwrap();
        armour("RSA PUBLIC KEY", RsaPublicKey::from_der(&der).unwrap().as_ref())
    };
    for text in [spki.clone(), pkcs1, format!("\u{feff}\n{spki}")] {
        assert_eq!(VerifyingKey::parse(Algorithm::Rs256, &text).unwrap().id(), key.id());
        for other in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256] {
            assert!(VerifyingKey::parse(other, &text).is_err());
        }
    }
    for (algorithm, kind) in [
        (Algorithm::Es256, &rcgen::PKCS_ECDSA_P256_SHA256),
        (Algorithm::EdDsa, &rcgen::PKCS_ED25519),
    ] {
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        let private = secret(&pair.serialize_pem());
        let key = SigningKey::parse(algorithm, &private).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["a.test".into()])
            .unwrap()
            .self_signed(&pair)
            .unwrap();
        for text in [pair.public_key_pem(), certificate.pem()] {
            assert_eq!(VerifyingKey::parse(algorithm, &text).unwrap().id(), key.id());
            assert!(matches!(
                SigningKey::parse(algorithm, &secret(&text)),
                Err(KeyFault::NotPrivate)
            ));
        }
        assert!(matches!(VerifyingKey::detect(private.expose()), Err(KeyFault::NotPublic)));
    }
}

#[test]
fn other_curves_are_refused() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    assert!(SigningKey::parse(Algorithm::Es256, &secret(&pair.serialize_pem())).is_err());
    assert!(VerifyingKey::detect(&pair.public_key_pem()).is_err());
}

#[test]
fn weak_rsa_keys_are_refused() {
    // jwt-forgery-017
    let check = public::check_rsa;
    let strong = vec![0xff; 256];
    assert!(check(&strong, &[1, 0, 1]).is_ok());
    for modulus in [vec![0xff; 128], vec![0xff; 255], [vec![0x7f], vec![0xff; 255]].concat()] {
        assert!(matches!(check(&modulus, &[1, 0, 1]), Err(KeyFault::WeakRsa)));
    }
    assert!(matches!(check(&vec![0xff; 1025], &[1, 0, 1]), Err(KeyFault::WeakRsa)));
    for exponent in [&[][..], &[1], &[3], &[0xff, 0xff], &[1, 0, 0]] {
        assert!(matches!(check(&strong, exponent), Err(KeyFault::WeakRsa)), "{exponent:?}");
    }
    // The same through the door: SEQUENCE { INTEGER n, INTEGER e }.
    let pkcs1 = |modulus: &[u8], exponent: &[u8]| {
        let length = |bytes: usize| {
            let [high, low] = u16::try_from(bytes).unwrap().to_be_bytes();
            vec![0x82, high, low]
        };
        let n = [vec![2], length(modulus.len() + 1), vec![0], modulus.to_vec()].concat();
        let e = [vec![2], length(exponent.len()), exponent.to_vec()].concat();
        armour("RSA PUBLIC KEY", &[vec![0x30], length(n.len() + e.len()), n, e].concat())
    };
    let modulus = |bytes: usize| [vec![0xc1], vec![0xff; bytes - 1]].concat();
    for (bytes, exponent) in [(128, &[1, 0, 1][..]), (256, &[1]), (256, &[3])] {
        assert!(VerifyingKey::detect(&pkcs1(&modulus(bytes), exponent)).is_err());
    }
}

#[test]
fn junk_is_refused_without_a_trace_of_it() {
    let junk = armour("PRIVATE KEY", b"junk that is no key");
    for algorithm in Algorithm::ALL {
        for text in ["", "junk", &junk, &junk[..40]] {
            let fault = SigningKey::parse(algorithm, &secret(text)).unwrap_err();
            assert!(!fault.to_string().contains("junk"), "{fault}");
        }
    }
    let key =
        SigningKey::parse(Algorithm::Hs256, &secret("correct-horse-battery-staple-0123")).unwrap();
    assert!(!format!("{key:?}").contains("horse"));
    assert!(!format!("{key:?}").contains("[99, 111"));
}
