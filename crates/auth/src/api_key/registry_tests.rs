use std::collections::HashSet;

use super::super::{ApiKeyAdministration, Grant, Usage};
use super::*;
use crate::session::ChangeFeed;
use guarita_core::jose::api_key;
use guarita_core::{ApiKeyName, Roles, Scopes, Secret, random};
use guarita_store::sample;
use guarita_store::sample::{DAY, NOW};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// One node: what it knows of keys, and its feed of changes.
struct Node {
    keys: ApiKeyCache,
    administration: ApiKeyAdministration,
    feed: ChangeFeed,
    usage: Usage,
}

impl Node {
    /// The feed is polled by hand, and has not been heard yet.
    fn on(store: &Store) -> Self {
        let sessions = session::SessionCache::new(store.clone());
        let (usage, uses) = Usage::new(store.clone(), || NOW);
        Self {
            keys: ApiKeyCache::new(store.clone(), sessions.clone(), uses),
            administration: ApiKeyAdministration::new(store.clone(), sessions.clone()),
            feed: ChangeFeed::new(store.clone(), sessions),
            usage,
        }
    }

    async fn hear(&mut self) {
        self.feed.poll().await.unwrap();
    }

    async fn make(&self, grant: Grant) -> (ApiKeyId, Secret) {
        let made = self.administration.create(grant, NOW).await.unwrap().unwrap();
        (made.id, made.key)
    }

    async fn revoke(&self, key: ApiKeyId) {
        let revoked = self.administration.revoke(&key.to_string(), NOW).await.unwrap();
        assert_eq!(revoked, Ok(1));
    }

    async fn counts(&self, key: &Secret, client: IpAddr, now: Timestamp) -> bool {
        self.keys.identify(None, key.expose(), client, now).await.unwrap().is_some()
    }

    /// What memory alone says, while the feed speaks.
    async fn recalls(&mut self, key: &Secret, now: Timestamp) -> Option<bool> {
        self.hear().await;
        let digest = KeyDigest::of(key.expose()).unwrap();
        self.keys.cached(&digest, now).map(|known| known.is_some())
    }
}

fn grant(name: &str) -> Grant {
    Grant {
        name: ApiKeyName::parse(name).unwrap(),
        roles: Roles::parse(["Jobs"]).unwrap(),
        scopes: Scopes::parse(["orders:read"]).unwrap(),
        networks: Vec::new(),
        lifetime: None,
    }
}

async fn node() -> (sample::SampleStore, Store, Node) {
    let (directory, store) = sample::open().await;
    let mut node = Node::on(&store);
    node.hear().await;
    (directory, store, node)
}

#[tokio::test]
async fn a_key_is_its_name_with_its_roles_and_scopes() {
    let (_directory, _store, node) = node().await;
    let (id, key) = node.make(grant("jobs")).await;
    let identity = node.keys.identify(None, key.expose(), HERE, NOW).await.unwrap().unwrap();
    assert_eq!(identity.subject().as_str(), "apikey:jobs");
    assert_eq!((identity.user(), identity.session()), (None, None));
    assert_eq!((identity.source(), identity.api_key()), (Source::ApiKey, Some(id)));
    assert_eq!(identity.roles().header(), "Jobs");
    assert_eq!(identity.scopes().to_string(), "orders:read");
}

#[tokio::test]
async fn a_revocation_holds_on_its_node_at_once_and_elsewhere_once_it_is_heard() {
    let (directory, _store, mut here) = node().await;
    let mut there = Node::on(&sample::reopen(directory.path()).await);
    there.hear().await;
    let (first, key) = here.make(grant("jobs")).await;
    let (_, other) = here.make(grant("jobs")).await;
    for node in [&mut here, &mut there] {
        assert!(node.counts(&key, HERE, NOW).await && node.counts(&other, HERE, NOW).await);
        assert_eq!(node.recalls(&key, NOW).await, Some(true));
    }
    here.revoke(first).await;
    assert!(!here.counts(&key, HERE, NOW).await);
    for node in [&mut here, &mut there] {
        node.hear().await;
        assert!(!node.counts(&key, HERE, NOW).await);
        assert_eq!(node.recalls(&key, NOW).await, Some(false));
        assert!(node.counts(&other, HERE, NOW).await, "the other of this name goes on");
    }
    assert!(!here.keys.is_live(first, NOW).await.unwrap());
}

#[tokio::test]
async fn memory_is_not_believed_while_the_feed_is_silent() {
    let (_directory, store) = sample::open().await;
    let deaf = Node::on(&store);
    let elsewhere = Node::on(&store);
    let (id, key) = elsewhere.make(grant("jobs")).await;
    assert!(deaf.counts(&key, HERE, NOW).await, "the store knows");
    elsewhere.revoke(id).await;
    assert!(!deaf.counts(&key, HERE, NOW).await);
    assert_eq!((deaf.keys.known.len(), deaf.keys.absent.len()), (0, 0));
    store.close().await;
    let unknown = deaf.keys.identify(None, key.expose(), HERE, NOW).await;
    assert_eq!(unknown.map(|_| ()), Err(StatusUnavailable), "nobody knows");
}

#[tokio::test]
async fn a_key_ends_at_its_second_and_counts_from_its_networks_only() {
    let (_directory, _store, node) = node().await;
    let networks = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let bound = Grant { networks, lifetime: Some(DAY), ..grant("jobs") };
    let (_, key) = node.make(bound).await;
    let before = Timestamp::from_seconds(NOW.plus(DAY).seconds() - 1);
    for (address, counts) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("2001:db8::7", true),
        ("11.0.0.1", false),
        ("127.0.0.1", false),
        ("::1", false),
        ("2001:db9::1", false),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(node.counts(&key, address, before).await, counts, "{address}");
        assert!(!node.counts(&key, address, NOW.plus(DAY)).await, "{address}");
    }
    assert_eq!(node.keys.known.len(), 1);
}

/// rate-limit-lockout-009
#[tokio::test]
async fn what_is_no_key_is_remembered_briefly_and_within_bounds() {
    let (_directory, _store, mut node) = node().await;
    let guess = api_key::key(&random::token().unwrap());
    assert!(!node.counts(&guess, HERE, NOW).await);
    assert_eq!(node.recalls(&guess, NOW).await, Some(false));
    assert_eq!(node.recalls(&guess, NOW.plus(ABSENT_TTL)).await, None);
    let generation = node.keys.sessions.generation_of_credentials();
    let mut made = HashSet::new();
    for _ in 0..ABSENT_CAPACITY * 2 {
        let guess = api_key::key(&random::token().unwrap());
        made.insert(KeyDigest::of(guess.expose()).unwrap());
    }
    for digest in made {
        node.keys.cache(digest, generation, None, NOW);
    }
    assert!(node.keys.absent.len() <= ABSENT_CAPACITY, "{}", node.keys.absent.len());
    assert_eq!(node.keys.known.len(), 0);
}

#[tokio::test]
async fn questions_are_bounded_and_what_has_not_the_form_of_a_key_asks_none() {
    let (_directory, _store, node) = node().await;
    let (_, key) = node.make(grant("jobs")).await;
    assert!(node.counts(&key, HERE, NOW).await);
    let turns = node.keys.turns.acquire_many(2).await.unwrap();
    for text in ["", "gua_", "nonsense", "system", &key.expose()[..46]] {
        assert!(node.keys.identify(None, text, HERE, NOW).await.unwrap().is_none(), "{text:?}");
    }
    let guess = api_key::key(&random::token().unwrap());
    let waiting = node.keys.identify(None, guess.expose(), HERE, NOW);
    let refused = tokio::time::timeout(DAY, waiting).await.unwrap();
    assert_eq!(refused.map(|_| ()), Err(StatusUnavailable));
    drop(turns);
    assert!(!node.counts(&guess, HERE, NOW).await);
}

#[tokio::test]
async fn the_last_use_is_written_now_and_then() {
    let (directory, _store, node) = node().await;
    let (id, key) = node.make(grant("jobs")).await;
    assert!(node.counts(&key, HERE, NOW).await && node.counts(&key, HERE, NOW).await);
    // With a server, beside another writer.
    let other = sample::reopen(directory.path()).await;
    let _beside = match sample::is_postgres(directory.path()) {
        true => Some(other.begin_write().await.unwrap()),
        false => None,
    };
    let Node { keys, administration, usage, .. } = node;
    let writing = tokio::spawn(usage.run());
    let last = async || {
        let listed = administration.list(ApiKeyId::new(0), false).await.unwrap();
        listed.first().and_then(|key| key.last_used_at)
    };
    let written = async {
        while last().await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), written).await.unwrap();
    assert_eq!(last().await, Some(NOW));
    let digest = KeyDigest::of(key.expose()).unwrap();
    let known = keys.known.get(&digest).unwrap().what;
    assert_eq!((known.id, known.tell_at.load(Ordering::Relaxed)), (id, NOW.plus(PERIOD).seconds()));
    writing.abort();
}

#[tokio::test]
async fn by_leave_a_key_counts_as_it_was_last_known_and_one_known_to_be_revoked_never() {
    let (_directory, store, mut node) = node().await;
    let mut keys = Vec::new();
    for name in ["kept", "revoked", "late"] {
        keys.push(node.make(grant(name)).await);
    }
    for (_, key) in &keys {
        assert_eq!(node.recalls(key, NOW).await, None);
        assert!(node.counts(key, HERE, NOW).await);
    }
    // Of the silence there is a test where it is measured.
    let generation = node.keys.sessions.last_generation_of_credentials();
    let last = |key: &Secret| {
        let digest = KeyDigest::of(key.expose()).unwrap();
        node.keys.recall_under(generation, &digest, NOW).map(|known| known.is_some())
    };
    for (_, key) in &keys {
        assert_eq!(last(key), Some(true));
    }
    // The store said meanwhile that it is none any more.
    let digest = KeyDigest::of(keys[2].1.expose()).unwrap();
    node.keys.cache(digest, None, None, NOW);
    assert_eq!(last(&keys[2].1), None);
    assert_eq!(last(&keys[0].1), Some(true));
    // What changed is heard: nothing that was learnt before counts.
    node.revoke(keys[1].0).await;
    let generation = node.keys.sessions.last_generation_of_credentials();
    for (_, key) in &keys {
        let digest = KeyDigest::of(key.expose()).unwrap();
        assert!(node.keys.recall_under(generation, &digest, NOW).is_none());
    }
    store.close().await;
}
