//! Users, certificates, Sentinel, a cluster, hints.

use super::super::sample;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_needs_no_more_than_is_documented() {
    let server = Redis::start().await;
    let documented = include_str!("../../../../docs/operations.md");
    let line = documented.lines().find(|line| line.contains("ACL SETUSER")).unwrap();
    let rules = line.trim().replace("guarita:*", "gate:*").replace("PASSWORD", "hunter2");
    let rules: Vec<_> = rules.split_whitespace().collect();
    assert_eq!(server.ask(&rules).await, "OK");
    let url = format!("redis://guarita:hunter2@127.0.0.1:{}", server.port);
    let gateways = Gateways::on(&url, None).await;
    holds(&gateways.pair()).await;
    hints_arrive(&gateways).await;
    server.ask(&["SET", "other", "1"]).await;
    for refused in [&["GET", "other"][..], &["KEYS", "*"], &["FLUSHALL"]] {
        let who = ["--user", "guarita", "--pass", "hunter2", "--no-auth-warning"];
        let said = server.ask(&[&who[..], refused].concat()).await;
        assert!(said.contains("NOPERM"), "{refused:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_must_be_of_the_cas_that_are_named() {
    let (ca, chain, key) = certificates();
    let server = Redis::start_with(|directory, port| {
        for (name, text) in [("ca", &ca), ("chain", &chain), ("key", &key)] {
            std::fs::write(directory.join(name), text).unwrap();
        }
        let port = port.to_string();
        let arguments = [
            ["--port", "0"],
            ["--tls-port", &port],
            ["--tls-cert-file", "chain"],
            ["--tls-key-file", "key"],
            ["--tls-ca-cert-file", "ca"],
            ["--tls-auth-clients", "no"],
        ];
        arguments.as_flattened().iter().map(|text| (*text).to_owned()).collect()
    })
    .await;
    let url = format!("rediss://localhost:{}", server.port);
    let gateways = Gateways::on(&url, Some(&ca)).await;
    holds(&gateways.pair()).await;
    hints_arrive(&gateways).await;
    let (other_ca, _, _) = certificates();
    for ca in [Some(other_ca), None] {
        let settings = settings::Redis {
            address: Address::parse(&url).unwrap(),
            ca: ca.map(String::into_bytes),
            prefix: "gate".into(),
            timeout: LIFE,
        };
        let refused = examine(&settings).await.unwrap_err();
        assert!(refused.to_lowercase().contains("certificate"), "{refused}");
    }
}

/// A CA, and a chain and a key for `localhost` by it.
fn certificates() -> (String, String, String) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let chain = params.signed_by(&key, &issuer).unwrap().pem();
    (ca, chain, key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_that_sentinel_names_is_followed_through_a_failover() {
    let mut primary = Redis::start().await;
    let replica = sample::replica(&primary).await;
    let sentinel = sample::sentinel(&primary).await;
    sample::until_watched(&primary, &replica, &sentinel).await;
    // The first Sentinel that is named does not answer.
    let nobody = sample::some_port();
    let url = format!("redis-sentinel://127.0.0.1:{nobody},127.0.0.1:{}/main", sentinel.port);
    let gateways = Gateways::on(&url, None).await;
    let pair = gateways.pair();
    holds(&pair).await;
    let (kept, before) = (ticket(), primary.keys().await);
    pair.put(0, &kept, 5, LIFE).await;
    let mut fresh = primary.keys().await;
    fresh.retain(|key| !key.ends_with(":all") && key.contains("{ticket:") && !before.contains(key));
    let [fresh] = fresh.as_slice() else { panic!("{fresh:?}") };
    until("the ticket to be replicated", async || replica.ask(&["EXISTS", fresh]).await == "1")
        .await;
    primary.kill().await;
    let now = time::now();
    until("the loss to show", async || {
        pair.tickets[0].attempt(&ticket(), now).await == Err(KvUnavailable)
    })
    .await;
    gateways.until_up().await;
    let role = replica.ask(&["ROLE"]).await;
    assert!(role.starts_with("master"), "{role}");
    assert!(pair.tickets[1].take(&kept, now).await.unwrap().is_some(), "it was replicated");
    holds(&pair).await;
    hints_arrive(&gateways).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_what_it_promises() {
    let nodes = sample::cluster().await;
    let places: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let gateways = Gateways::on(&format!("redis-cluster://{}", places.join(",")), None).await;
    let pair = gateways.pair();
    holds(&pair).await;
    hints_arrive(&gateways).await;
    for number in 0..50 {
        let who = somebody();
        assert_eq!(pair.take(number % 2, &who, rate(1, HOUR)).await, Ok(()));
        assert!(pair.take((number + 1) % 2, &who, rate(1, HOUR)).await.is_err(), "{number}");
    }
    for node in &nodes {
        let keys = node.keys().await;
        assert!(keys.iter().any(|key| key.contains(":rate:")), "{keys:?}");
    }
}

/// A hint that one gateway gives is heard by the other.
async fn hints_arrive(gateways: &Gateways) {
    let [one, other] = [0, 1].map(|at| gateways.nodes[at].hints().unwrap());
    let (heard, mut counted) = tokio::sync::watch::channel(0);
    let listening = tokio::spawn(other.run(heard));
    let changed = tokio::time::timeout(DEADLINE, counted.changed()).await;
    changed.expect("it listens in time").unwrap();
    for _ in 0..3 {
        until("a hint to be taken", async || one.publish().await.is_ok()).await;
        let changed = tokio::time::timeout(DEADLINE, counted.changed()).await;
        changed.expect("a hint in time").unwrap();
    }
    listening.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_are_heard_again_after_a_loss_and_it_counts_as_one() {
    let mut server = Redis::start().await;
    let gateways = Gateways::on(&server.url(), None).await;
    let (heard, mut counted) = tokio::sync::watch::channel(0);
    let _listening = {
        let hints = gateways.nodes[0].hints().unwrap();
        tokio::spawn(hints.run(heard))
    };
    let mut next = async |what: &str| {
        let changed = tokio::time::timeout(DEADLINE, counted.changed()).await;
        changed.unwrap_or_else(|_| panic!("{what}: not in time")).unwrap();
    };
    next("the first connection").await;
    server.kill().await;
    until("a hint to be refused", async || {
        gateways.nodes[1].hints().unwrap().publish().await == Err(KvUnavailable)
    })
    .await;
    server.restart().await;
    next("the second connection").await;
    gateways.until_up().await;
    gateways.nodes[1].hints().unwrap().publish().await.unwrap();
    next("a hint").await;
    assert!(!gateways.tasks.is_empty());
}

#[tokio::test]
async fn an_operator_hears_version_and_eviction() {
    let server = Redis::start().await;
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let settings = settings::Redis {
        address: Address::parse(&server.url()).unwrap(),
        ca: None,
        prefix: "gate".into(),
        timeout: LIFE,
    };
    let found = examine(&settings).await.unwrap();
    assert!(found.version.is_some_and(|version| version.contains('.')));
    assert_eq!(found.evicts, None);
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    assert_eq!(examine(&settings).await.unwrap().evicts.as_deref(), Some("allkeys-lru"));
    server.ask(&["CONFIG", "SET", "requirepass", "hunter2"]).await;
    let refused = examine(&settings).await.unwrap_err();
    assert!(refused.contains("NOAUTH"), "{refused}");
}
