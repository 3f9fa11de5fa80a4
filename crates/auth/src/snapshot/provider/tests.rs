use super::*;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guarita_core::jose::{Algorithm, SigningKey};
use serde_json::json;

fn settings(max_age: Duration, cooldown: Duration) -> ProviderSettings {
    let at = KeysAt::Discovery;
    let published =
        Published { at, for_access_tokens: true, ca: None, refresh: LONG, cooldown, max_age };
    ProviderSettings { published: Some(published), ..sample::settings() }
}

const LONG: Duration = Duration::from_secs(3600);

fn set() -> KeySet {
    let text = SigningKey::generate(Algorithm::Es256).unwrap();
    let key = SigningKey::parse(Algorithm::Es256, &text).unwrap();
    let keyring = guarita_core::jose::Keyring::new(key, Vec::new()).unwrap();
    KeySet::parse(&keyring.jwks(guarita_core::time::now())).unwrap()
}

#[tokio::test]
async fn who_lacks_a_key_waits_for_one_fetch_and_not_again_within_the_cooldown() {
    let provider = Arc::new(Provider::new(settings(LONG, LONG)));
    let wanted = provider.wanted();
    let fetching = Arc::clone(&provider);
    tokio::spawn(async move {
        wanted.notified().await;
        fetching.replace(set());
    });
    assert!(provider.renewed(0).await);
    let now = provider.fingerprint();
    assert_ne!(now, 0);
    // Nobody fetches any more: these would wait for ever.
    assert!(!provider.renewed(now).await);
    // Who looked before the keys came looks once more.
    assert!(provider.renewed(0).await);
}

#[tokio::test]
async fn a_failed_fetch_leaves_the_keys_and_ends_the_wait() {
    let provider = Arc::new(Provider::new(settings(LONG, Duration::ZERO)));
    provider.replace(set());
    let before = provider.fingerprint();
    let (wanted, fetching) = (provider.wanted(), Arc::clone(&provider));
    tokio::spawn(async move {
        wanted.notified().await;
        fetching.attempted();
    });
    assert!(provider.renewed(before).await);
    assert_eq!(provider.fingerprint(), before);
}

#[test]
fn nothing_is_known_before_the_first_keys_and_nothing_holds_by_keys_that_are_too_old() {
    let now = Timestamp::from_seconds(1_800_000_000);
    let token = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.e30.AAAA";
    let fresh = Provider::new(settings(LONG, LONG));
    assert_eq!(fresh.verify(token, now).unwrap_err(), Unverified::Unknowable);
    let holds =
        |provider: &Provider| provider.holds(provider.fingerprint(), now, now, now.plus(LONG), now);
    fresh.replace(set());
    let unknown = Unverified::Invalid(Invalid::UnknownKey);
    assert_eq!(fresh.verify(token, now).unwrap_err(), unknown);
    assert!(holds(&fresh));
    assert!(!fresh.holds(fresh.fingerprint() ^ 1, now, now, now.plus(LONG), now));
    assert!(!fresh.holds(fresh.fingerprint(), now, now, now, now));
    let old = Provider::new(settings(Duration::ZERO, LONG));
    old.replace(set());
    assert_eq!(old.verify(token, now).unwrap_err(), Unverified::Unknowable);
    assert!(!holds(&old));
}

/// A key of a provider, as it is published, and an ID token that it signed.
fn id_token(key_id: &str, now: Timestamp) -> (KeySet, String) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": key_id});
    let set = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
    let header = json!({"alg": "EdDSA", "kid": key_id});
    let claims = json!({
        "iss": "https://idp.test", "aud": "our-client", "sub": "ada", "nonce": "n",
        "iat": now.seconds(), "exp": now.seconds() + 600,
    });
    let [header, claims] = [header, claims].map(|it| URL_SAFE_NO_PAD.encode(it.to_string()));
    let message = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
    (set, format!("{message}.{signature}"))
}

#[tokio::test]
async fn an_id_token_of_a_new_key_is_worth_one_fetch_and_not_again_within_the_cooldown() {
    let now = Timestamp::from_seconds(1_800_000_000);
    let secret = Secret::new("n");
    let check = async |provider: &Provider, token: &str| {
        let expected = IdTokenExpectations {
            provider: &provider.settings().expected,
            client_id: "our-client",
            nonce: &secret,
            access_token: &secret,
        };
        let told = provider.verify_id_token(token, expected, now).await;
        told.map(|claims| claims.sub.as_str().to_owned())
    };
    let unknown = Err(Unverified::Invalid(InvalidIdToken::Token(Invalid::UnknownKey)));
    for for_access_tokens in [true, false] {
        let mut settings = settings(LONG, LONG);
        settings.published.as_mut().unwrap().for_access_tokens = for_access_tokens;
        let provider = Arc::new(Provider::new(settings));
        let (set, token) = id_token("new", now);
        let (wanted, fetching) = (provider.wanted(), Arc::clone(&provider));
        tokio::spawn(async move {
            wanted.notified().await;
            fetching.replace(set);
        });
        assert_eq!(check(&provider, &token).await, Ok("ada".into()));
        // Nobody fetches any more: this would wait for ever.
        let (_, other) = id_token("newer", now);
        assert_eq!(check(&provider, &other).await, unknown);
        assert_eq!(check(&provider, &token).await, Ok("ada".into()));
    }
    // Nothing is known of the keys, and they were asked for a moment ago.
    let provider = Provider::new(settings(LONG, LONG));
    provider.attempted();
    let (_, token) = id_token("new", now);
    assert_eq!(check(&provider, &token).await, Err(Unverified::Unknowable));
}

#[tokio::test]
async fn keys_of_id_tokens_alone_verify_no_access_token() {
    let now = Timestamp::from_seconds(1_800_000_000);
    let mut settings = settings(LONG, Duration::ZERO);
    settings.published.as_mut().unwrap().for_access_tokens = false;
    settings.expected.token.audiences = vec!["our-client".into()];
    let (set, token) = id_token("new", now);
    let mut both = settings.clone();
    both.published.as_mut().unwrap().for_access_tokens = true;
    let provider = Provider::new(settings);
    provider.replace(set);
    // Nobody is asked for other keys: this would wait.
    let unknown = Unverified::Invalid(Invalid::UnknownKey);
    assert_eq!(provider.verify_access_token(&token, now).await.unwrap_err(), unknown);
    // What the secret verified stays valid, whatever is published.
    assert!(provider.holds(0, now, now, now.plus(LONG), now));
    assert!(!provider.holds(provider.fingerprint(), now, now, now.plus(LONG), now));
    // The same keys for both.
    let provider = Provider::new(both);
    let (set, _) = id_token("new", now);
    provider.replace(set);
    let told = provider.verify_access_token(&token, now).await.unwrap_err();
    assert_eq!(told, Unverified::Invalid(Invalid::Signature));
}
