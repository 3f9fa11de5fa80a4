//! A credential says whose it is once and in one way.

use crate::harness::browser::SESSION;
use crate::harness::{Browser, Request};
use crate::security::Stage;

/// The session cookie of somebody who signed in.
async fn cookie_of(stage: &Stage, username: &str) -> String {
    Browser::signed_in(&stage.gateway, username).await.cookie(SESSION).unwrap()
}

#[tokio::test]
async fn header_spoofing_017_a_session_that_cannot_be_loaded_is_none() {
    let stage = Stage::new().await;
    let (good, other) = (cookie_of(&stage, "alice").await, cookie_of(&stage, "root").await);
    let (sid, secret) = good.split_once('.').unwrap();
    let unknown = "01932c07-7f0c-7d5e-8a00-0123456789ab";
    for cookie in [
        format!("{SESSION}="),
        format!("{SESSION}=%"),
        format!("{SESSION}=\""),
        format!("{SESSION}=\"{good}\""),
        format!("{SESSION}=AAAAAAAA"),
        format!("{SESSION}={unknown}"),
        format!("{SESSION}={unknown}.{secret}"),
        format!("{SESSION}={sid}"),
        format!("{SESSION}={good}; {SESSION}=x"),
        format!("{SESSION}=x; {SESSION}={good}"),
        format!("{SESSION}={good}; {SESSION}={other}"),
        format!("__HOST-GUARITA-SESSION={good}"),
        format!("__Host-sid={good}; sid={good}; session={good}"),
    ] {
        let answer = stage.anonymous().send(Request::get("/api/x").header("cookie", &cookie)).await;
        assert_eq!(answer.status, 401, "{cookie}");
    }
    let one = Request::get("/api/x").header("cookie", &format!("{SESSION}={good}"));
    let two = one.clone().header("cookie", &format!("{SESSION}={other}"));
    assert_eq!(stage.anonymous().send(two).await.status, 401);
    stage.assert_nothing_forwarded("a cookie that is no session");
    assert_eq!(stage.anonymous().send(one).await.status, 200);
}

/// A bad credential falls to the next, unless the configuration says that it is refused; several bad ones are none. All combinations of keys, bearers and cookies are in `credential_order`.
#[tokio::test]
async fn header_spoofing_018_bad_credentials_never_add_up() {
    for reject in [false, true] {
        let on_invalid = if reject { "\"reject\"" } else { "\"next\"" };
        let stage = Stage::with(|setup| setup.set("credentials.on_invalid", on_invalid)).await;
        let token = stage.alice().await.token.unwrap();
        let (good, bad) = (cookie_of(&stage, "root").await, token.as_str());
        for (name, value) in [
            ("x-service-api-key", "wrong"),
            ("authorization", "Bearer wrong"),
            ("authorization", "Basic cm9vdDpyb290"),
            ("authorization", ""),
        ] {
            let request = Request::get("/api/x").header(name, value);
            let with =
                |cookie: &str| request.clone().header("cookie", &format!("{SESSION}={cookie}"));
            stage.upstream.forget();
            assert_eq!(stage.anonymous().send(with(bad)).await.status, 401, "{name}: {value}");
            stage.assert_nothing_forwarded("a request with only bad credentials");
            let answer = stage.anonymous().send(with(&good)).await;
            // An empty field brings nothing.
            if reject && !value.is_empty() {
                assert_eq!(answer.status, 401, "{name}: {value}");
                stage.assert_nothing_forwarded("a request with a bad credential before a good one");
                continue;
            }
            assert_eq!(answer.status, 200, "{name}: {value}");
            let seen = stage.upstream.only();
            assert_eq!(seen.one("x-auth-source").as_deref(), Some("session"));
            assert_eq!(seen.one("sub").as_deref(), Some("root"));
        }

        stage.upstream.forget();
        let request = Request::get("/api/x").header("x-service-api-key", "wrong").bearer(&token);
        let answer = stage.anonymous().send(request).await;
        if reject {
            assert_eq!(answer.status, 401);
            stage.assert_nothing_forwarded("a bad key before a good bearer");
            continue;
        }
        assert_eq!(answer.status, 200);
        let seen = stage.upstream.only();
        assert_eq!(seen.one("x-auth-source").as_deref(), Some("bearer"));
        assert_eq!(seen.one("sub").as_deref(), Some("alice"));
        assert!(seen.folded("x-service-api-key").is_empty());
    }
}

#[tokio::test]
async fn header_spoofing_019_a_credential_has_one_spelling() {
    let stage = Stage::new().await;
    let (alice, root) = (stage.alice().await.token.unwrap(), stage.root().await.token.unwrap());
    for value in [
        format!("Bearer  {alice}"),
        format!("Bearer {alice}, Bearer {root}"),
        format!("Bearer\t{alice}"),
        alice.clone(),
        format!("Token {alice}"),
    ] {
        let request = Request::get("/api/x").header("authorization", &value);
        let status = stage.anonymous().send(request).await.status;
        assert!([400, 401].contains(&status), "{status} for {:?}", &value[..20]);
    }
    let twice = Request::get("/api/x").bearer(&alice).bearer(&root);
    assert!([400, 401].contains(&stage.anonymous().send(twice).await.status));
    stage.assert_nothing_forwarded("an odd Authorization");
}

#[tokio::test]
async fn header_spoofing_020_a_token_in_the_query_is_none() {
    let stage = Stage::new().await;
    let token = stage.alice().await.token.unwrap();
    for name in ["access_token", "token", "jwt"] {
        let answer = stage.anonymous().get(&format!("/api/x?{name}={token}")).await;
        assert_eq!(answer.status, 401, "{name}");
    }
    stage.assert_nothing_forwarded("a token in the query");
}
