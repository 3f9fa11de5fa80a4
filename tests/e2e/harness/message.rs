//! HTTP/1.1 messages as bytes.

use std::fmt::Write as _;

/// A request that is written exactly as it is built.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header_length()
    }

    pub fn json(self, value: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    fn header_length(self) -> Self {
        let length = self.body.len().to_string();
        self.header("content-length", &length)
    }

    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    pub fn content(&self) -> &[u8] {
        &self.body
    }

    pub fn target(&self) -> &str {
        &self.target
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The request's bytes; `Host` is added where the request has none.
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.has("host") {
            write!(head, "Host: {host}\r\n").unwrap();
        }
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A response, whatever protocol it came over.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Statuses of the 1xx answers that came before.
    pub interim: Vec<u16>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Fails the test unless this is a problem body (RFC 9457) with this status and code.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        self.assert_refused(status, code);
        // RFC 9110 section 15.5.2.
        assert!(status != 401 || self.header("www-authenticate").is_some());
    }

    /// Fails the test unless this is a refusal as clients of `/oauth2` read it (RFC 6749 section 5.2).
    #[track_caller]
    pub fn assert_client_refused(&self, status: u16, code: &str, error: &str) {
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.assert_refused(status, code);
        assert_eq!(self.json()["error"], error);
        let challenge = self.header("www-authenticate");
        assert_eq!(challenge, (status == 401).then_some("Basic realm=\"guarita\""));
    }

    #[track_caller]
    fn assert_refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["requestId"].as_str(), self.header("x-request-id"), "{body}");
        let text = self.text().to_ascii_lowercase();
        for revealing in ["panic", ".rs", "sqlite", "stack", "pingora", "upstream\":"] {
            assert!(!text.contains(revealing), "the body reveals {revealing:?}: {text}");
        }
    }
}
