//! A real OpenID Connect provider: `oidc-provider`, run by `tests/browser/provider.mjs`.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::chromium::modules;
use super::wait::within;

pub const CLIENT: &str = "guarita";
pub const SECRET: &str = "the-secret-of-our-client-at-the-provider";

/// A running provider; it ends with this value.
pub struct RealProvider {
    pub name: String,
    pub issuer: String,
    pub audience: String,
    _process: Child,
}

impl RealProvider {
    /// One that plays the claims of `shape`, with the roles of its people.
    pub async fn start(shape: &str, audience: &str, people: &Value) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let setting = json!({
            "modules": modules(),
            "shape": shape,
            "client": {"id": CLIENT, "secret": SECRET},
            "redirectUri": format!("https://app.example.test/auth/oidc/{shape}/callback"),
            "afterLogout": "https://app.example.test/login",
            "audience": audience,
            "people": people,
        });
        let mut process = Command::new("node")
            .arg(root.join("tests/browser/provider.mjs"))
            .env("PROVIDER", setting.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is needed");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let issuer = within("the provider's issuer", lines.next_line()).await.unwrap().unwrap();
        let (name, audience) = (shape.to_owned(), audience.to_owned());
        Self { name, issuer, audience, _process: process }
    }

    /// The table of the configuration: the same for every provider but for these three.
    pub fn table(&self, role_map: &str) -> String {
        let Self { name, issuer, audience, .. } = self;
        format!(
            "[[providers]]\nname = \"{name}\"\nissuer = \"{issuer}\"\n\
             audience = [\"{audience}\"]\nrole_map = {role_map}\n\
             users = \"create\"\nsubject_from = \"sub\"\nclient_id = \"{CLIENT}\"\n\
             client_secret = \"{SECRET}\"\nlogout = true\nlabel = \"{}\"\n",
            name.to_uppercase()
        )
    }

    /// An access token for our client itself.
    pub async fn access_token(&self) -> String {
        // Whichever test comes first installs it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let form = "grant_type=client_credentials&scope=api";
        let answer = client
            .post(format!("{}/token", self.issuer))
            .basic_auth(CLIENT, Some(SECRET))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer: Value = answer.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}
