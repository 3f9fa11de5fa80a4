//! An issuer of others: a discovery document, keys, and tokens signed by them. What it publishes, and
//! how it answers, can be bent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::tokens::{Rsa, Signer, token};
use super::upstream::{Answer, Recorded, Upstream};

/// Audience of its tokens.
pub const AUDIENCE: &str = "api://orders";
/// The access token that comes with each ID token.
const ACCESS_TOKEN: &str = "opaque";
/// `at_hash` of it, for RS256.
pub const ACCESS_TOKEN_HASH: &str = "bSKYhMEmi7CrMtjaMV0P5Q";
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// A key, and its name.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub rsa: Rsa,
}

/// A running provider.
#[derive(Clone)]
pub struct Provider {
    pub server: Upstream,
    published: Arc<Mutex<Vec<Value>>>,
    /// ID tokens by code.
    codes: Arc<Mutex<HashMap<String, String>>>,
    /// What its discovery document says beside the rest.
    announced: Arc<Mutex<HashMap<String, Value>>>,
}

impl Key {
    pub fn new(id: &str) -> Self {
        Self { id: id.into(), rsa: Rsa::another() }
    }

    /// As it is published.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.rsa.jwk();
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token of these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.id});
        token(&header.to_string(), &claims.to_string(), &Signer::Rs256(&self.rsa))
    }
}

impl Provider {
    /// One that publishes these keys.
    pub async fn start(keys: &[&Key]) -> Self {
        let published = Arc::new(Mutex::new(Vec::new()));
        let server = Upstream::start().await;
        let (codes, announced) = (Arc::default(), Arc::default());
        let provider = Self { server, published, codes, announced };
        provider.publish(keys);
        provider.answer();
        provider
    }

    /// Other keys from now on.
    pub fn publish(&self, keys: &[&Key]) {
        *self.published.lock().unwrap() = keys.iter().map(|key| key.jwk()).collect();
    }

    /// Answers as it should.
    pub fn answer(&self) {
        let (published, issuer) = (Arc::clone(&self.published), self.issuer());
        let (codes, announced) = (Arc::clone(&self.codes), Arc::clone(&self.announced));
        self.server.script(move |request| match request.target().as_str() {
            "/token" => exchange(request, &codes.lock().unwrap()),
            DISCOVERY => {
                let mut document = document(&issuer);
                document.as_object_mut().unwrap().extend(announced.lock().unwrap().clone());
                json_answer(&document)
            }
            _ => honest(request, &issuer, &published.lock().unwrap()),
        });
    }

    /// Its discovery document says this too from now on.
    pub fn announce(&self, name: &str, value: Value) {
        self.announced.lock().unwrap().insert(name.into(), value);
    }

    /// Exchanges a code for an ID token.
    pub fn exchange(&self, code: &str, id_token: &str) {
        self.codes.lock().unwrap().insert(code.into(), id_token.into());
    }

    /// Answers every question so.
    pub fn fail(&self, answer: Answer) {
        self.server.script(move |_| answer.clone());
    }

    pub fn issuer(&self) -> String {
        self.server.url()
    }

    /// Claims of a good token for ten minutes from now.
    pub fn claims(&self, subject: &str) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({
            "iss": self.issuer(), "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600,
            "jti": format!("{now}-{}", subject.len()),
        })
    }

    /// The table of the configuration, with more keys in it.
    pub fn table(&self, more: &str) -> String {
        format!(
            "[[providers]]\nname = \"idp\"\nissuer = \"{}\"\naudience = [\"{AUDIENCE}\"]\n{more}\n",
            self.issuer()
        )
    }

    /// How often its keys were asked for.
    pub fn key_fetches(&self) -> usize {
        self.server.requests().iter().filter(|request| request.target() == "/keys").count()
    }
}

/// What a provider answers that means no harm.
pub fn honest(request: &Recorded, issuer: &str, keys: &[Value]) -> Answer {
    match request.target().as_str() {
        DISCOVERY => json_answer(&document(issuer)),
        "/keys" => json_answer(&json!({ "keys": keys })),
        _ => Answer::status(404),
    }
}

fn document(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/keys"),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

/// The answer of a token endpoint (RFC 6749 sections 5.1 and 5.2).
fn exchange(request: &Recorded, codes: &HashMap<String, String>) -> Answer {
    let form: HashMap<String, String> = serde_urlencoded::from_bytes(&request.body).unwrap();
    let verified = form.get("code_verifier").is_some_and(|verifier| verifier.len() == 43);
    match form.get("code").and_then(|code| codes.get(code)).filter(|_| verified) {
        Some(id_token) => json_answer(&json!({
            "access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": id_token,
        })),
        None => {
            let Answer::Reply(_, headers, body) = json_answer(&json!({"error": "invalid_grant"}))
            else {
                unreachable!()
            };
            Answer::Reply(400, headers, body)
        }
    }
}

pub fn json_answer(document: &Value) -> Answer {
    let headers = vec![("content-type".into(), "application/json".into())];
    Answer::Reply(200, headers, document.to_string().into_bytes())
}
