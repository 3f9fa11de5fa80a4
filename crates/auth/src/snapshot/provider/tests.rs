use super::*;
use guarita_core::jose::{Algorithm, SigningKey};

fn settings(max_age: Duration, cooldown: Duration) -> ProviderSettings {
    let at = KeysAt::Discovery;
    let published = Published { at, ca: None, refresh: LONG, cooldown, max_age };
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
