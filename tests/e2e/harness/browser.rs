//! A browser as far as HTTP goes: it keeps cookies, says where a request comes from, and sends forms
//! back as they came.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::gateway::Gateway;
use super::message::{Request, Response};
use super::persona::Persona;
use super::setup::password_of;

pub const SESSION: &str = "__Host-guarita-session";

/// One browser with its own cookies.
pub struct Browser {
    person: Persona,
    jar: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    pub fn new(gateway: &Gateway) -> Self {
        Self { person: gateway.anonymous(), jar: Mutex::default() }
    }

    /// One whose person signed in.
    pub async fn signed_in(gateway: &Gateway, username: &str) -> Self {
        let browser = Self::new(gateway);
        let body = json!({
            "username": username,
            "password": password_of(username),
            "cookie": true,
        });
        let answer = browser.send(Request::post("/auth/login").json(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        browser
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar.lock().unwrap().get(name).cloned()
    }

    pub fn keep(&self, name: &str, value: &str) {
        self.jar.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    pub fn forget(&self, name: &str) {
        self.jar.lock().unwrap().remove(name);
    }

    /// Sends the request with the cookies, unless it has some of its own, and keeps what is set.
    pub async fn send(&self, request: Request) -> Response {
        let cookies: Vec<_> = {
            let jar = self.jar.lock().unwrap();
            jar.iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        let request = match cookies.is_empty() || request.has("cookie") {
            true => request,
            false => request.header("cookie", &cookies.join("; ")),
        };
        let answer = self.person.send(request).await;
        for field in answer.all("set-cookie") {
            let (name, rest) = field.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if field.contains("Max-Age=0") {
                self.forget(name);
            } else {
                self.keep(name, value);
            }
        }
        answer
    }

    pub async fn get(&self, target: &str) -> Response {
        self.send(Request::get(target).header("accept", "text/html")).await
    }

    /// The anti-forgery token of this browser.
    pub async fn csrf_token(&self) -> String {
        let answer = self.send(Request::get("/auth/csrf")).await;
        answer.json()["csrfToken"].as_str().unwrap().to_owned()
    }

    /// A request of a script of ours.
    pub async fn call(&self, method: &str, target: &str, body: &Value) -> Response {
        let token = self.csrf_token().await;
        let request = Request::new(method, target).header("x-csrf-token", &token);
        self.send(request.header("sec-fetch-site", "same-origin").json(body)).await
    }

    /// A form as a page of ours sends it.
    pub async fn submit(&self, target: &str, fields: &[(&str, &str)]) -> Response {
        let mut form = url_encoded(fields);
        if !fields.iter().any(|(name, _)| *name == "csrf_token") {
            let page = self.get(target).await;
            form = format!("{form}&csrf_token={}", token_of(&page.text()));
        }
        let request = Request::post(target)
            .header("origin", "https://app.example.test")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(form)).await
    }
}

/// The anti-forgery token in the first form of a page.
pub fn token_of(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"csrf_token\" value=\"").expect("a form with a token");
    rest.split('"').next().unwrap().to_owned()
}

fn url_encoded(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte.is_ascii_alphanumeric() {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}
