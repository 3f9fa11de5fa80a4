use std::collections::BTreeSet;

use super::super::{ConfiguredKeys, KeySource, load};
use super::*;
use guarita_store::sample;
use guarita_store::sample::NOW;

const OLD: &str = "0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210";
const AHEAD: Duration = Duration::from_secs(900);

fn vault(store: &Store, masters: &str) -> KeyDatabase {
    KeyDatabase::new(store.clone(), MasterKeys::parse(&Secret::new(masters)).unwrap())
}

async fn begin(vault: &KeyDatabase, files: &EarlierKeys) -> Result<OpenedKeys, VaultFault> {
    vault.begin(files, Algorithm::Es256, AHEAD, NOW).await
}

fn ids(keys: &OpenedKeys) -> Vec<String> {
    KeyPurpose::ALL
        .into_iter()
        .flat_map(|purpose| keys.of(purpose).map(|key| key.stored.id.clone()))
        .collect()
}

fn keyring(keys: OpenedKeys) -> guarita_core::jose::Keyring {
    let source = KeySource::Vault(Arc::new(keys));
    source.keyring(Algorithm::Es256, &ConfiguredKeys::default(), NOW).unwrap()
}

async fn draft(purpose: KeyPurpose, after: Duration) -> GeneratedKeys {
    generate(purpose, Algorithm::Es256, NOW.plus(after)).await.unwrap()
}

#[tokio::test]
async fn of_ten_that_begin_at_once_on_an_empty_table_one_makes_the_keys() {
    let (directory, _store) = sample::open().await;
    let mut beginning = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let store = sample::reopen(directory.path()).await;
        let vault = vault(&store, OLD);
        beginning.spawn(async move { ids(&begin(&vault, &EarlierKeys::default()).await.unwrap()) });
    }
    let all: BTreeSet<_> = beginning.join_all().await.into_iter().collect();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all.first().unwrap().len(), KeyPurpose::ALL.len());
}

#[tokio::test]
async fn keys_of_files_are_taken_over_once_and_files_are_left_alone() {
    let (directory, store) = sample::open().await;
    let files = directory.path().join("keys");
    let before = load(&files, Algorithm::Es256, &ConfiguredKeys::default(), NOW).unwrap();
    let outbox = guarita_core::random::token().unwrap();
    let earlier = EarlierKeys { directory: files.clone(), outbox: Some(outbox.clone()) };
    let keys = begin(&vault(&store, OLD), &earlier).await.unwrap();
    assert_eq!(keys.outbox(), Some(&outbox));
    assert_eq!(keyring(keys).signing(NOW).id(), before.signing(NOW).id());
    assert_eq!(std::fs::read_dir(&files).unwrap().count(), 1);
    // What another has in its files is not.
    let others = directory.path().join("others");
    load(&others, Algorithm::Es256, &ConfiguredKeys::default(), NOW).unwrap();
    let earlier = EarlierKeys { directory: others, outbox: None };
    let keys = begin(&vault(&store, OLD), &earlier).await.unwrap();
    assert_eq!(keys.outbox(), Some(&outbox));
    assert_eq!(keyring(keys).fingerprint(), before.fingerprint());
}

#[tokio::test]
async fn of_several_keys_in_files_the_same_one_signs_and_all_verify() {
    let (directory, store) = sample::open().await;
    let files = directory.path().join("keys");
    load(&files, Algorithm::EdDsa, &ConfiguredKeys::default(), NOW).unwrap();
    let before = load(&files, Algorithm::Es256, &ConfiguredKeys::default(), NOW).unwrap();
    let earlier = EarlierKeys { directory: files, outbox: None };
    let keyring = keyring(begin(&vault(&store, OLD), &earlier).await.unwrap());
    assert_eq!(keyring.signing(NOW).id(), before.signing(NOW).id());
    assert_eq!(keyring.fingerprint(), before.fingerprint());
}

#[tokio::test]
async fn another_master_key_or_none_is_refused_and_nothing_is_changed() {
    let (_directory, store) = sample::open().await;
    assert!(KeyDatabase::check_without(&store).await.is_ok());
    let made = ids(&begin(&vault(&store, OLD), &EarlierKeys::default()).await.unwrap());
    let refused = begin(&vault(&store, NEW), &EarlierKeys::default()).await;
    assert!(matches!(refused, Err(VaultFault::OtherMasterKey)), "{refused:?}");
    let added = vault(&store, NEW)
        .add(draft(KeyPurpose::Token, AHEAD).await, Before::Void, None, NOW)
        .await;
    assert!(matches!(added, Err(VaultFault::OtherMasterKey)), "{added:?}");
    let refused = KeyDatabase::check_without(&store).await;
    assert!(matches!(refused, Err(VaultFault::NoMasterKey)), "{refused:?}");
    assert_eq!(ids(&vault(&store, OLD).read().await.unwrap()), made);
}

#[tokio::test]
async fn a_row_that_was_changed_does_not_open() {
    let (_directory, store) = sample::open().await;
    let vault = vault(&store, OLD);
    let keys = begin(&vault, &EarlierKeys::default()).await.unwrap();
    let first = &keys.of(KeyPurpose::Token).next().unwrap().stored;
    let other = &keys.of(KeyPurpose::Assertion).next().unwrap().stored;
    // The key of assertions in the place of that of tokens.
    let mut transaction = store.begin_write().await.unwrap();
    transaction.reseal_key(&first.id, &other.sealed, &other.sealed_by, NOW).await.unwrap();
    transaction.commit().await.unwrap();
    let refused = vault.read().await;
    assert!(matches!(refused, Err(VaultFault::Changed(id)) if id == first.id));
}

#[tokio::test]
async fn one_key_is_announced_at_a_time_and_those_before_it_end() {
    let (_directory, store) = sample::open().await;
    let vault = vault(&store, OLD);
    let purpose = KeyPurpose::Token;
    let first = ids(&begin(&vault, &EarlierKeys::default()).await.unwrap())[0].clone();
    let add = async |after, before, every| {
        let draft = draft(purpose, after).await;
        let id = draft.id.clone();
        vault.add(draft, before, every, NOW).await.unwrap().map(|_| id)
    };
    let day = Duration::from_secs(86_400);
    assert_eq!(add(AHEAD, Before::Verify, Some(day)).await, Err(NotAdded::NotDue));
    let second = add(AHEAD, Before::Verify, Some(AHEAD)).await.unwrap();
    let announced = add(AHEAD, Before::Verify, None).await;
    assert_eq!(announced, Err(NotAdded::Announced(second.clone(), NOW.plus(AHEAD))));
    let keys = vault.read().await.unwrap();
    let ends: Vec<_> =
        keys.of(purpose).map(|key| (key.stored.id.clone(), key.stored.verifies_until)).collect();
    let end = NOW.plus(AHEAD + Duration::from_secs(25 * 3600));
    assert_eq!(ends, [(first, Some(end)), (second, None)]);
    // Those that were stolen are gone at once.
    let third = add(Duration::ZERO, Before::Void, None).await.unwrap();
    let keys = vault.read().await.unwrap();
    let left: Vec<_> =
        keys.of(purpose).map(|key| (&key.stored.id, key.stored.signs_from)).collect();
    assert_eq!(left, [(&third, Some(NOW))], "at once, whatever was announced");
    assert_eq!(keys.of(KeyPurpose::Assertion).count(), 1);
    // So it is no announcement that stands in the way of the next.
    assert!(add(AHEAD, Before::Verify, None).await.is_ok());
}

#[tokio::test]
async fn a_stolen_key_of_assertions_is_published_no_more_and_another_is_until_its_end() {
    let (_directory, store) = sample::open().await;
    let vault = vault(&store, OLD);
    let first = begin(&vault, &EarlierKeys::default()).await.unwrap();
    let assertion_keys = |keys: OpenedKeys, retired| {
        let source = KeySource::Vault(Arc::new(keys));
        let keyring = source.keyring(Algorithm::Es256, &ConfiguredKeys::default(), NOW).unwrap();
        source.assertion_keys("i".into(), AHEAD, &keyring, retired, NOW).unwrap()
    };
    let published = |keys: &guarita_core::jose::AssertionKeys| -> BTreeSet<String> {
        let set: serde_json::Value = serde_json::from_slice(&keys.jwks(NOW)).unwrap();
        let ids = set["keys"].as_array().unwrap().iter();
        ids.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let token = first.of(KeyPurpose::Token).next().unwrap().stored.id.clone();
    let before = assertion_keys(first, Vec::new());
    let add = async |before| {
        let draft = draft(KeyPurpose::Assertion, Duration::ZERO).await;
        let id = draft.id.clone();
        vault.add(draft, before, None, NOW).await.unwrap().unwrap();
        id
    };
    let second = add(Before::Verify).await;
    let both = assertion_keys(vault.read().await.unwrap(), before.retire(NOW));
    assert!(
        published(&both).is_superset(&published(&before)) && published(&both).contains(&second)
    );
    let third = add(Before::Void).await;
    let after = assertion_keys(vault.read().await.unwrap(), both.retire(NOW));
    assert_eq!(published(&after), [token, third].into());
}

#[tokio::test]
async fn where_an_announcement_is_taken_back_the_key_before_it_never_ends() {
    let (_directory, store) = sample::open().await;
    let vault = vault(&store, OLD);
    let first = ids(&begin(&vault, &EarlierKeys::default()).await.unwrap())[0].clone();
    let made = draft(KeyPurpose::Token, AHEAD).await;
    let id = made.id.clone();
    vault.add(made, Before::Verify, None, NOW).await.unwrap().unwrap();
    assert!(!vault.remove(&id, |_| false, NOW).await.unwrap());
    assert!(vault.remove(&id, |_| true, NOW).await.unwrap());
    assert!(!vault.remove(&id, |_| true, NOW).await.unwrap());
    let later = NOW.plus(Duration::from_secs(90 * 86_400));
    vault.prune(later).await.unwrap();
    let keys = vault.read().await.unwrap();
    let left: Vec<_> = keys.of(KeyPurpose::Token).map(|key| &key.stored).collect();
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0].id, left[0].verifies_until), (&first, None));
}

#[tokio::test]
async fn keys_are_bounded() {
    let (_directory, store) = sample::open().await;
    let vault = vault(&store, OLD);
    begin(&vault, &EarlierKeys::default()).await.unwrap();
    // Each in a second of its own.
    let mut now = NOW;
    let mut add = async || {
        now = now.plus(Duration::from_secs(1));
        let draft = draft(KeyPurpose::Token, NOW.until(now)).await;
        vault.add(draft, Before::Verify, None, now).await.unwrap()
    };
    for _ in 1..MAX_KEYS {
        assert!(add().await.is_ok());
    }
    let refused = add().await;
    assert_eq!(refused, Err(NotAdded::TooMany));
}

#[tokio::test]
async fn while_the_master_key_changes_everybody_opens_every_key() {
    let (_directory, store) = sample::open().await;
    let (old, both, new) =
        (vault(&store, OLD), vault(&store, &format!("{NEW} {OLD}")), vault(&store, NEW));
    begin(&old, &EarlierKeys::default()).await.unwrap();
    // Made by one that was restarted with both: one that was not yet must open it.
    let made = draft(KeyPurpose::Token, AHEAD).await;
    both.add(made, Before::Verify, None, NOW).await.unwrap().unwrap();
    assert_eq!(old.read().await.unwrap().of(KeyPurpose::Token).count(), 2);
    assert!(new.read().await.is_err());
    let before = ids(&both.read().await.unwrap());
    assert_eq!(both.reseal(NOW).await.unwrap(), 4);
    assert_eq!(both.reseal(NOW).await.unwrap(), 0);
    assert!(old.read().await.is_err());
    for vault in [&new, &both] {
        assert_eq!(ids(&vault.read().await.unwrap()), before);
    }
    let made = draft(KeyPurpose::Assertion, AHEAD).await;
    both.add(made, Before::Verify, None, NOW).await.unwrap().unwrap();
    assert_eq!(new.read().await.unwrap().of(KeyPurpose::Assertion).count(), 2);
}

#[tokio::test]
async fn another_algorithm_is_a_rotation() {
    let (_directory, store) = sample::open().await;
    let vault = vault(&store, OLD);
    let before = keyring(begin(&vault, &EarlierKeys::default()).await.unwrap());
    let files = EarlierKeys::default();
    for _ in 0..2 {
        let keys = vault.begin(&files, Algorithm::EdDsa, AHEAD, NOW).await.unwrap();
        let keyring = keyring(keys);
        assert_eq!(keyring.signing(NOW).id(), before.signing(NOW).id());
        assert_eq!(keyring.signing(NOW.plus(AHEAD)).algorithm(), Algorithm::EdDsa);
    }
    assert_eq!(vault.read().await.unwrap().of(KeyPurpose::Token).count(), 2);
    // One that was not restarted yet, or was before, does not take the announced key back.
    let keys = begin(&vault, &files).await.unwrap();
    assert_eq!(keyring(keys).signing(NOW.plus(AHEAD)).algorithm(), Algorithm::EdDsa);
}

/// A key that signs at once may be added in the very second in which the first was made.
#[tokio::test]
async fn of_two_keys_of_one_second_the_later_one_signs() {
    let (_directory, store) = sample::open().await;
    let vault = vault(&store, OLD);
    begin(&vault, &EarlierKeys::default()).await.unwrap();
    for _ in 0..4 {
        let mut made = draft(KeyPurpose::Token, AHEAD).await;
        made.signs_from = Some(NOW);
        let (id, at) = (made.id.clone(), NOW.plus(Duration::from_secs(60)));
        vault.add(made, Before::Verify, None, at).await.unwrap().unwrap();
        let keys = vault.read().await.unwrap();
        assert_eq!(keys.of(KeyPurpose::Token).next_back().unwrap().stored.id, id);
    }
}
