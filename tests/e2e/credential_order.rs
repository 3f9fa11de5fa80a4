//! API key, then bearer, then session cookie.

use crate::api_keys;
use crate::harness::browser::SESSION;
use crate::harness::{Browser, Gateway, Request, Setup, Upstream, until};

const KEY: &str = "the key of a service, not to be guessed";

/// What is brought of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brought {
    Nothing,
    Bad,
    Good,
}

use Brought::{Bad, Good, Nothing};

const ALL: [Brought; 3] = [Nothing, Bad, Good];

fn setup(upstream: &Upstream) -> Setup {
    let key = KEY.replace([' ', ','], "-");
    Setup::standard(&upstream.url())
        .environment("SERVICE_API_KEY", &key)
        .set("credentials.service_roles", "[\"admin\", \"Jobs\"]")
}

fn key() -> String {
    KEY.replace([' ', ','], "-")
}

/// Who passes, in that order, and by what.
fn expected(brought: [Brought; 3], service: &str, reject: bool) -> Option<(&str, &str)> {
    let callers = [(service, "api_key"), ("root", "bearer"), ("alice", "session")];
    for (brought, caller) in brought.into_iter().zip(callers) {
        match brought {
            Good => return Some(caller),
            Bad if reject => return None,
            Bad | Nothing => {}
        }
    }
    None
}

#[tokio::test]
async fn every_combination_of_credentials_ends_in_the_first_good_one() {
    let upstream = Upstream::start().await;
    for reject in [false, true] {
        let on_invalid = if reject { "\"reject\"" } else { "\"next\"" };
        let gateway = setup(&upstream).set("credentials.on_invalid", on_invalid).start().await;
        let token = gateway.bearer("root").await.token.unwrap();
        let cookie = Browser::signed_in(&gateway, "alice").await.cookie(SESSION).unwrap();
        let named = api_keys::create(&gateway, "jobs", &["--role", "Jobs"]).await;
        let revoked = api_keys::create(&gateway, "gone", &[]).await;
        api_keys::revoke(&gateway, "gone").await.succeeded();
        let configured = ("system", key(), "not-the-key".to_owned());
        for (service, good, bad) in [configured, ("apikey:jobs", named, revoked)] {
            for brought in combinations() {
                let request = request(brought, [&good, &bad], &token, &cookie);
                let wanted = expected(brought, service, reject);
                check(&gateway, &upstream, request, wanted, brought, reject).await;
            }
        }
    }
}

/// Of an API key, a bearer token and a cookie.
fn combinations() -> impl Iterator<Item = [Brought; 3]> {
    let two = ALL.into_iter().flat_map(|key| ALL.map(|bearer| (key, bearer)));
    two.flat_map(|(key, bearer)| ALL.map(|session| [key, bearer, session]))
}

fn request(brought: [Brought; 3], keys: [&str; 2], token: &str, cookie: &str) -> Request {
    let fields = [
        ("x-service-api-key", keys[0].to_owned(), keys[1].to_owned()),
        ("authorization", format!("Bearer {token}"), "Bearer junk".to_owned()),
        ("cookie", format!("{SESSION}={cookie}"), format!("{SESSION}=junk")),
    ];
    let mut request = Request::get("/api/x");
    for (brought, (name, good, bad)) in brought.into_iter().zip(fields) {
        request = match brought {
            Nothing => request,
            Bad => request.header(name, &bad),
            Good => request.header(name, &good),
        };
    }
    request
}

async fn check(
    gateway: &Gateway,
    upstream: &Upstream,
    request: Request,
    wanted: Option<(&str, &str)>,
    brought: [Brought; 3],
    reject: bool,
) {
    let before = upstream.count();
    let answer = gateway.anonymous().send(request).await;
    let Some((subject, source)) = wanted else {
        answer.assert_problem(401, "unauthorized");
        assert_eq!(upstream.count(), before, "{brought:?} {reject}");
        return;
    };
    assert_eq!(answer.status, 200, "{brought:?} {reject}: {}", answer.text());
    let seen = upstream.last();
    assert_eq!(seen.one("sub").as_deref(), Some(subject), "{brought:?} {reject}");
    assert_eq!(seen.one("x-auth-source").as_deref(), Some(source), "{brought:?} {reject}");
    for name in ["x-service-api-key", "authorization", "cookie"] {
        assert!(seen.all(name).is_empty(), "{name} went upstream");
    }
}

#[tokio::test]
async fn a_service_is_system_with_its_roles_and_has_no_account() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).start().await;
    let ask = async |target: &str| {
        let request = Request::get(target).header("x-service-api-key", &key());
        gateway.anonymous().send(request).await
    };
    assert_eq!(ask("/admin/x").await.status, 200);
    let seen = upstream.only();
    for (name, value) in [
        ("sub", Some("system")),
        ("app_roles", Some("Jobs,admin")),
        ("x-auth-uid", None),
        ("x-auth-sid", None),
    ] {
        assert_eq!(seen.one(name).as_deref(), value, "{name}");
    }
    for own in ["/auth/sessions"] {
        ask(own).await.assert_problem(401, "unauthorized");
    }
    for bad in ["", "x", &key()[1..], &key().to_uppercase(), &"x".repeat(5_000)] {
        let request = Request::get("/api/x").header("x-service-api-key", bad);
        assert_eq!(gateway.anonymous().send(request).await.status, 401, "{bad:?}");
    }
    let twice = Request::get("/api/x").header("x-service-api-key", &key());
    let twice = twice.header("x-service-api-key", &key());
    assert_eq!(gateway.anonymous().send(twice).await.status, 401);
    // An unsafe request with a key was meant, wherever the browser says it comes from.
    let post = Request::post("/api/x").header("x-service-api-key", &key()).body("");
    assert_eq!(
        gateway.anonymous().send(post.header("origin", "https://evil.test")).await.status,
        200
    );
    let line = gateway.audited("its request", |line| line["sub"] == "system").await;
    assert_eq!(line["source"], "api_key");
    assert!(!gateway.log.text().contains(&key()));
}

#[tokio::test]
async fn a_key_is_rotated_by_a_change_of_its_file() {
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url())
        .file("service.key", "first-key-that-nobody-knows-at-all\n")
        .set("credentials.service_api_key_file", "\"service.key\"");
    let mut gateway = setup.clone().start().await;
    let ask = async |gateway: &Gateway, key: &str| {
        let request = Request::get("/api/x").header("x-service-api-key", key);
        gateway.anonymous().send(request).await.status
    };
    assert_eq!(ask(&gateway, "first-key-that-nobody-knows-at-all").await, 200);
    let next = setup.file("service.key", "second-key-that-nobody-knows-at-all");
    assert!(gateway.reload(next).await);
    until("the new key", || async {
        (ask(&gateway, "second-key-that-nobody-knows-at-all").await == 200).then_some(())
    })
    .await;
    assert_eq!(ask(&gateway, "first-key-that-nobody-knows-at-all").await, 401);
}
