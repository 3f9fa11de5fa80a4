//! `GET /auth/sessions` and `DELETE /auth/sessions/{sid}`.

use serde_json::{Value, json};

use crate::harness::{Persona, Request, Setup, Upstream};

async fn listed(caller: &Persona) -> Vec<Value> {
    let answer = caller.get("/auth/sessions").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["sessions"].as_array().unwrap().clone()
}

async fn end(caller: &Persona, sid: &str) -> u16 {
    let request = Request::new("DELETE", &format!("/auth/sessions/{sid}")).body("");
    caller.send(request).await.status
}

#[tokio::test]
async fn a_caller_sees_and_ends_its_own_sessions_and_nobody_else_s() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let (here, there) = (gateway.bearer("alice").await, gateway.bearer("alice").await);
    let root = gateway.bearer("root").await;
    let own = listed(&here).await;
    assert_eq!(own.len(), 2);
    for session in &own {
        let is_here = session["sid"].as_str() == here.sid.as_deref();
        assert_eq!(session["current"], is_here);
        assert!(session["createdAt"].as_str().unwrap().ends_with('Z'));
        assert_eq!(session["address"], "127.0.0.1");
    }
    let foreign = root.sid.clone().unwrap();
    for sid in [&*foreign, "nonsense", "01932c07-7f0c-7d5e-8a00-0123456789ab", "%00"] {
        assert!([404, 400].contains(&end(&here, sid).await), "{sid}");
    }
    assert_eq!(end(&gateway.anonymous(), &foreign).await, 401);
    assert_eq!(root.get("/api/x").await.status, 200);

    let sid = there.sid.clone().unwrap();
    assert_eq!(end(&here, &sid).await, 204);
    assert_eq!(end(&here, &sid).await, 204, "twice too");
    assert_eq!(there.get("/api/x").await.status, 401);
    assert_eq!(there.refresh().await.status, 401);
    assert_eq!(listed(&here).await.len(), 1);
    assert_eq!(end(&here, here.sid.as_deref().unwrap()).await, 204);
    assert_eq!(here.get("/auth/sessions").await.status, 401);
}

#[tokio::test]
async fn a_logout_whose_body_names_no_session_is_about_the_caller_s() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    for body in ["{}", "{\"refreshToken\":null}", ""] {
        for path in ["/auth/logout", "/auth/logout-all"] {
            let alice = gateway.bearer("alice").await;
            let request = Request::post(path).header("content-type", "application/json").body(body);
            assert_eq!(alice.send(request.clone()).await.status, 204, "{path} {body}");
            assert_eq!(alice.get("/api/x").await.status, 401, "{path} {body}");
            assert_eq!(alice.log_out().await.status, 204, "twice too");
            gateway.anonymous().send(request).await.assert_problem(401, "unauthorized");
        }
    }
    let alice = gateway.bearer("alice").await;
    let other = alice.post("/auth/logout", &json!({ "refreshToken": 7 })).await;
    assert_eq!(other.status, 400, "{}", other.text());
    assert_eq!(alice.get("/api/x").await.status, 200);
}
