//! Who makes requests.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::canary;
use super::gateway::Gateway;
use super::http2::Http2;
use super::message::{Request, Response};
use super::raw::{Tls, Wire};
use super::setup::{HOST, password_of};

/// Somebody with or without a credential; each request goes over a connection of its own.
#[derive(Clone)]
pub struct Persona {
    address: SocketAddr,
    tls: Option<Tls>,
    host: String,
    pub token: Option<String>,
    pub refresh_token: Option<String>,
    pub sid: Option<String>,
}

impl Persona {
    pub fn anonymous(gateway: &Gateway) -> Self {
        let (address, tls) = match gateway.setup.text().contains("tls =") {
            true => (gateway.https(), Some(gateway.tls())),
            false => (gateway.http(), None),
        };
        Self { address, tls, host: HOST.into(), token: None, refresh_token: None, sid: None }
    }

    pub async fn login(gateway: &Gateway, username: &str) -> Self {
        let anonymous = Self::anonymous(gateway);
        let answer = anonymous.log_in(username, &password_of(username)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        anonymous.holding(&answer.json())
    }

    /// The same caller with the credentials of a login or a refresh.
    pub fn holding(&self, pair: &Value) -> Self {
        let text = |name: &str| pair[name].as_str().map(str::to_owned);
        Self {
            token: text("accessToken"),
            refresh_token: text("refreshToken"),
            sid: text("sid"),
            ..self.clone()
        }
    }

    /// The same place with the credentials of another.
    pub fn like(&self, other: &Self) -> Self {
        Self {
            token: other.token.clone(),
            refresh_token: other.refresh_token.clone(),
            sid: other.sid.clone(),
            ..self.clone()
        }
    }

    /// The same caller by way of a proxy that speaks plain HTTP.
    pub fn through(&self, address: SocketAddr) -> Self {
        Self { address, tls: None, ..self.clone() }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    pub fn at(&self, host: &str) -> Self {
        Self { host: host.into(), ..self.clone() }
    }

    /// The same caller over other TLS.
    pub fn over(&self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self.clone() }
    }

    pub async fn wire(&self) -> Wire {
        match &self.tls {
            Some(tls) => Wire::tls(self.address, tls).await,
            None => Wire::plain(self.address).await,
        }
    }

    /// A connection that speaks HTTP/2; the credential is the request's to bring.
    pub async fn http2(&self) -> Http2 {
        Http2::connect(self.address, self.tls.as_ref().expect("HTTP/2 is spoken over TLS")).await
    }

    pub async fn send(&self, request: Request) -> Response {
        let mut wire = self.wire().await;
        let request = self.signed(request).header("connection", "close");
        let mut secrets = canary::secrets_of(request.content());
        secrets.extend(self.token.clone().filter(|token| token.len() >= 20));
        secrets.iter().for_each(|secret| canary::keep(secret));
        let answer = wire.exchange(&request, &self.host).await;
        canary::watch(&answer.body);
        if answer.status >= 400 {
            let text = answer.text();
            let told = secrets.iter().find(|secret| text.contains(secret.as_str()));
            assert!(told.is_none(), "the refusal repeats {told:?}: {text}");
        }
        answer
    }

    /// The request with this caller's credential, unless it has one of its own.
    pub fn signed(&self, request: Request) -> Request {
        match &self.token {
            Some(token) if !request.has("authorization") => request.bearer(token),
            Some(_) | None => request,
        }
    }

    pub async fn get(&self, target: &str) -> Response {
        self.send(Request::get(target)).await
    }

    pub async fn post(&self, target: &str, body: &Value) -> Response {
        self.send(Request::post(target).json(body)).await
    }

    pub async fn log_in(&self, username: &str, password: &str) -> Response {
        let body = json!({ "username": username, "password": password });
        self.without_token().post("/auth/login", &body).await
    }

    pub async fn log_out(&self) -> Response {
        self.send(Request::post("/auth/logout").body("")).await
    }

    pub async fn refresh(&self) -> Response {
        let body = json!({ "refreshToken": self.refresh_token });
        self.without_token().post("/auth/refresh", &body).await
    }
}
