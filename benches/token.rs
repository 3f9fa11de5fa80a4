//! What a token costs: verified for the first time, and found again.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use guarita_auth::access::{Issuers, VerifiedToken, VerifiedTokens};
use guarita_auth::assertion::Assertions;
use guarita_auth::snapshot::Providers;
use guarita_core::jose::{
    Algorithm, AssertionKey, AssertionKeys, Claims, Expectations, Keyring, SigningKey,
};
use guarita_core::{Identity, Principal, Roles, SessionId, Source, Subject, Timestamp, UserId};

fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

fn expectations() -> Expectations {
    Expectations {
        issuer: "ms-auth".into(),
        audiences: vec!["api".into()],
        leeway: Duration::from_secs(30),
        max_length: 16 * 1024,
    }
}

fn claims(token_id: &str) -> Claims {
    Claims {
        issuer: "ms-auth".into(),
        subject: Subject::parse("alice").expect("a subject"),
        user: Some(UserId::new(7)),
        audience: "api".into(),
        issued_at: now(),
        not_before: now(),
        expires_at: now().plus(Duration::from_secs(3600)),
        token_id: token_id.into(),
        session: SessionId::parse("01932c07-7f0c-7d5e-8a00-0123456789ab").expect("a session id"),
        roles: Roles::parse(["Metrics.Admin", "Metrics.Reader"]).expect("roles"),
        second_factor_at: None,
    }
}

fn keyring(algorithm: Algorithm) -> Keyring {
    let text = SigningKey::generate(algorithm).expect("a key");
    let key = SigningKey::parse(algorithm, &text).expect("a key");
    Keyring::new(key, Vec::new()).expect("a keyring")
}

fn verify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token/verify");
    let expected = expectations();
    for algorithm in Algorithm::ALL {
        let keyring = keyring(algorithm);
        let token = keyring.issue(&claims("token")).expect("a token");
        group.bench_function(algorithm.as_str(), |bencher| {
            bencher.iter(|| keyring.verify(black_box(token.expose()), &expected, now()));
        });
    }
    group.finish();
}

fn issue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token/issue");
    let claims = claims("token");
    for algorithm in Algorithm::ALL {
        let keyring = keyring(algorithm);
        group.bench_function(algorithm.as_str(), |bencher| {
            bencher.iter(|| keyring.issue(black_box(&claims)));
        });
    }
    group.finish();
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token/find");
    // The signature's length is the token's; how it was made does not matter to a hit.
    let keyring = keyring(Algorithm::Rs256);
    let (expected, providers) = (expectations(), Providers::default());
    for count in [1, 10_000] {
        let verified = VerifiedTokens::new(65_536);
        let tokens: Vec<_> = (0..count)
            .map(|at| {
                let claims = claims(&format!("token-{at}"));
                let token = keyring.issue(&claims).expect("a token");
                let now = claims.issued_at;
                let entry =
                    VerifiedToken::new(claims, Source::Bearer, &keyring, &expectations(), now)
                        .expect("fits");
                verified.insert(token.expose(), Arc::new(entry));
                token
            })
            .collect();
        let mut turn = tokens.iter().cycle();
        group.bench_function(format!("hit among {count}"), |bencher| {
            bencher.iter(|| {
                let token = turn.next().expect("a token");
                let issuers =
                    Issuers { keyring: &keyring, expectations: &expected, providers: &providers };
                verified.find(black_box(token.expose()), issuers, now())
            });
        });
    }
    group.finish();
}

fn assertion(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("assertion");
    let key = SigningKey::generate(Algorithm::Es256).expect("a key");
    let key = SigningKey::parse(Algorithm::Es256, &key).expect("a key");
    let signing = vec![AssertionKey { key, signs_from: now() }];
    let keyring = keyring(Algorithm::Rs256);
    let keys = AssertionKeys::new("ms-auth".into(), signing, Vec::new(), &keyring, Vec::new());
    let keys = keys.expect("keys");
    let claims = claims("token");
    let (user, session) = (claims.user, Some(claims.session));
    let source = Source::Bearer;
    let identity = Identity::new(claims.subject, user, session, claims.roles, source, None);
    let principal = Principal::new(Arc::new(identity.expect("fits")));
    let audience: Arc<str> = "orders".into();
    group.bench_function("issue", |bencher| {
        bencher.iter(|| keys.issue(black_box(&principal), &audience, now()));
    });
    let assertions = Assertions::new(65_536);
    group.bench_function("find", |bencher| {
        bencher.iter(|| assertions.find_or_issue(&keys, black_box(&principal), &audience, now()));
    });
    group.finish();
}

criterion_group!(benches, verify, issue, find, assertion);
criterion_main!(benches);
