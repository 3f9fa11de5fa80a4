//! Somebody's TOTP application.

use serde_json::{Value, json};

use super::gateway::Gateway;
use super::message::Response;
use super::persona::Persona;
use super::setup::{Setup, password_of};
use super::wait::until;

pub const ENROLL: &str = "/auth/mfa/totp/enroll";
pub const CONFIRM: &str = "/auth/mfa/totp/confirm";
pub const DISABLE: &str = "/auth/mfa/totp/disable";
pub const CHALLENGE: &str = "/auth/mfa/challenge";

/// What encrypts the secrets in the tests.
pub const KEY: &str = "a key of more than thirty-two characters";

/// With second factors.
pub fn with_factors(setup: Setup) -> Setup {
    setup.environment("TOTP_ENC_KEY", KEY)
}

/// One secret.
#[derive(Clone)]
pub struct Authenticator {
    pub secret: String,
}

impl Authenticator {
    /// Begins an enrolment.
    pub async fn begin(caller: &Persona) -> Self {
        let enrolment = caller.post(ENROLL, &json!({})).await;
        assert_eq!(enrolment.status, 200, "{}", enrolment.text());
        Self::of(&enrolment)
    }

    /// Takes over what an enrolment showed.
    pub fn of(enrolment: &Response) -> Self {
        Self { secret: enrolment.json()["secret"].as_str().unwrap().to_owned() }
    }

    pub fn seed(&self) -> Vec<u8> {
        totp_rs::Secret::Encoded(self.secret.clone()).to_bytes().unwrap()
    }

    /// The code of the step that is `steps` from now.
    pub fn code(&self, steps: i64) -> String {
        self.code_of(step().checked_add_signed(steps).unwrap())
    }

    /// The code of a step.
    pub fn code_of(&self, step: u64) -> String {
        let totp = totp_rs::TOTP::new_unchecked(
            totp_rs::Algorithm::SHA1,
            6,
            0,
            30,
            self.seed(),
            None,
            String::new(),
        );
        totp.generate(step * 30)
    }

    /// Six digits that are no code of these minutes.
    pub fn wrong(&self) -> String {
        let near: Vec<_> = (-4..=4).map(|steps| self.code(steps)).collect();
        (0..10).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap()
    }

    /// Confirms with the code of the step before now; the recovery codes.
    pub async fn confirm(&self, caller: &Persona) -> Vec<String> {
        let confirmed = caller.post(CONFIRM, &json!({ "code": self.code(-1) })).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.text());
        let codes: Vec<String> =
            serde_json::from_value(confirmed.json()["recoveryCodes"].clone()).unwrap();
        assert_eq!(codes.len(), 10);
        codes
    }

    /// Logs somebody in, who enrols with the code of the step before now.
    pub async fn enrol(gateway: &Gateway, username: &str) -> (Persona, Self, Vec<String>) {
        early_in_a_step().await;
        let caller = gateway.bearer(username).await;
        let authenticator = Self::begin(&caller).await;
        let codes = authenticator.confirm(&caller).await;
        (caller, authenticator, codes)
    }
}

/// The step of now.
pub fn step() -> u64 {
    now() / 30
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// Waits for a step that has time enough left for a test: codes are made here and read there.
pub async fn early_in_a_step() {
    until("a step that began lately", || async { (now() % 30 < 18).then_some(()) }).await;
}

/// What a login with the right password gets where a factor is active.
pub async fn ticket(gateway: &Gateway, username: &str) -> String {
    let answer = gateway.anonymous().log_in(username, &password_of(username)).await;
    answer.assert_problem(401, "mfa_required");
    assert_eq!(answer.json()["methods"], json!(["totp", "recovery_code"]));
    answer.json()["mfaToken"].as_str().unwrap().to_owned()
}

/// The body that completes a login.
pub fn completion(ticket: &str, method: &str, code: &str) -> Value {
    json!({ "mfaToken": ticket, "method": method, "code": code })
}

/// The second step of a login.
pub async fn complete(gateway: &Gateway, ticket: &str, method: &str, code: &str) -> Response {
    gateway.anonymous().post(CHALLENGE, &completion(ticket, method, code)).await
}
