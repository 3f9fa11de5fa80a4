//! Callers: somebody with a token, or nobody.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::canary;
use super::gateway::{Gateway, HOST, PASSWORD};
use super::wait::within;

/// Somebody who makes requests over TLS.
#[derive(Clone)]
pub(crate) struct Persona {
    client: Client,
    pub(crate) tokens: Option<Tokens>,
}

/// What a login ends in.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) session: String,
}

impl Gateway {
    /// Nobody in particular.
    pub(crate) fn anonymous(&self) -> Persona {
        let ca = reqwest::Certificate::from_pem(self.authority.pem.as_bytes()).unwrap();
        let client = Client::builder()
            .use_rustls_tls()
            .add_root_certificate(ca)
            .resolve(HOST, SocketAddr::new(self.https().ip(), 0))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Persona { client, tokens: None }
    }

    /// A user who has logged in.
    pub(crate) async fn bearer(&self, username: &str) -> Persona {
        let mut persona = self.anonymous();
        let answer = persona.log_in(username, PASSWORD).await;
        assert_eq!(answer.status(), 200, "{}", self.log());
        persona.tokens = Some(Tokens::read(&answer.json().await.unwrap()));
        persona
    }
}

impl Tokens {
    pub(crate) fn read(body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        canary::watch(body.to_string().as_bytes());
        Self { access: text("accessToken"), refresh: text("refreshToken"), session: text("sid") }
    }
}

impl Persona {
    pub(crate) fn access(&self) -> &str {
        &self.tokens.as_ref().unwrap().access
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("https://{HOST}:8443{path}"));
        match &self.tokens {
            Some(tokens) => request.bearer_auth(&tokens.access),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        within(path, self.request(Method::GET, path).send()).await.unwrap()
    }

    pub(crate) async fn status(&self, path: &str) -> u16 {
        self.get(path).await.status().as_u16()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        within(path, self.request(Method::POST, path).json(body).send()).await.unwrap()
    }

    pub(crate) async fn log_in(&self, username: &str, password: &str) -> Response {
        self.post("/auth/login", &json!({ "username": username, "password": password })).await
    }
}
