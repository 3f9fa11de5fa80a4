//! Problem codes (RFC 9457): each code has one status, one title and one log level.

/// The log level of a rejected request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The client's mistake.
    Info,
    /// An operator may want to look at it.
    Warn,
    /// A fault of Guarita or of something that it depends on.
    Error,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $title:literal, $level:ident;)+) => {
        /// The `code` member of a problem body (RFC 9457), with its status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name),+ }

        impl Code {
            /// Every code, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The text of the `code` member.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }

            /// The `title` member. It tells nothing that would help to enumerate accounts.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }

            /// The first code with this status; [`Code::Internal`] if there is none.
            pub fn of_status(status: u16) -> Self {
                Self::ALL.iter().copied().find(|code| code.status() == status).unwrap_or(Self::Internal)
            }

            /// The level that it is logged at.
            pub const fn level(self) -> Level {
                match self { $(Self::$name => Level::$level),+ }
            }
        }
    };
}

codes! {
    /// The request is ambiguous or cannot be parsed.
    BadRequest = "bad_request", 400, "The request is malformed or ambiguous", Info;
    /// The body is not the JSON that the endpoint expects.
    InvalidBody = "invalid_body", 400, "The request body is invalid", Info;
    /// The token of a link is unknown, used, expired or void; which of them is not told.
    InvalidToken = "invalid_token", 400, "The link is invalid or has expired", Info;
    /// No valid credential.
    Unauthorized = "unauthorized", 401, "A valid credential is required", Info;
    /// The user name or the password is wrong; which of them is not told.
    InvalidCredentials = "invalid_credentials", 401, "The credentials are invalid", Info;
    /// The client is unknown or its secret is wrong (RFC 6749 section 5.2); which of them is not told.
    InvalidClient = "invalid_client", 401, "Client authentication failed", Warn;
    /// The refresh token is unknown, used, expired or revoked.
    InvalidRefreshToken = "invalid_refresh_token", 401, "The refresh token is invalid", Info;
    /// The password is right and a second factor is required.
    MfaRequired = "mfa_required", 401, "A second factor is required", Info;
    /// The ticket of a pending login is unknown, used up or expired.
    InvalidMfaToken = "invalid_mfa_token", 401, "The sign-in has expired; start again", Info;
    /// The code is wrong or was used before.
    InvalidCode = "invalid_code", 401, "The code is invalid", Info;
    /// The credential is valid, but does not grant access.
    Forbidden = "forbidden", 403, "Access denied", Info;
    /// The password is right, and the account's e-mail address is not verified.
    EmailUnverified = "email_unverified", 403, "The e-mail address is not verified", Info;
    /// The route requires a second factor, and the session was opened without one (RFC 9470).
    SecondFactorRequired = "insufficient_user_authentication", 403, "A second factor is required for this resource", Info;
    /// A request with a session cookie that another site may have caused.
    CsrfFailed = "csrf_failed", 403, "CSRF validation failed", Info;
    /// The last authentication is too old for this action: the password or a code is required again.
    ProofRequired = "reauthentication_required", 403, "Re-authentication with the password or a current code is required", Info;
    /// No such resource; told to authenticated clients only.
    NotFound = "not_found", 404, "Not found", Info;
    /// The route or endpoint does not allow this method.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed", Info;
    /// The client took too long to send the request.
    RequestTimeout = "request_timeout", 408, "The request was not received in time", Info;
    /// The second factor is active already.
    MfaActive = "mfa_active", 409, "A second factor is already active", Info;
    /// There is no second factor to confirm or disable.
    MfaNotEnrolled = "mfa_not_enrolled", 409, "No second factor is enrolled", Info;
    /// The body is larger than the route allows.
    BodyTooLarge = "body_too_large", 413, "The request body is too large", Info;
    /// The request target is longer than allowed.
    TargetTooLong = "target_too_long", 414, "The request target is too long", Info;
    /// The endpoint does not accept the body's content type.
    UnsupportedMediaType = "unsupported_media_type", 415, "The content type is not supported", Info;
    /// The expectation cannot be met (RFC 9110 section 10.1.1).
    ExpectationFailed = "expectation_failed", 417, "The expectation cannot be met", Info;
    /// The connection's certificate does not cover this authority (RFC 9110 section 15.5.20).
    MisdirectedRequest = "misdirected_request", 421, "This connection does not serve the requested host", Info;
    /// The new password is too short, easy to guess or known from a breach.
    WeakPassword = "weak_password", 422, "The new password is too weak", Info;
    /// Too many failures: the account is locked for a while.
    Locked = "locked", 429, "Too many failed attempts; try again later", Warn;
    /// Too many requests from one source or connection.
    RateLimited = "rate_limited", 429, "Too many requests; try again later", Warn;
    /// Too many header fields, or too large.
    HeadersTooLarge = "headers_too_large", 431, "The request header fields are too large", Info;
    /// An internal fault; the cause is in the log.
    Internal = "internal_error", 500, "Internal error", Error;
    /// A method that no proxy forwards (CONNECT, TRACE).
    NotImplemented = "not_implemented", 501, "The method is not supported", Info;
    /// The upstream could not be reached or sent an invalid response.
    BadGateway = "bad_gateway", 502, "Invalid response from the upstream", Error;
    /// No upstream server is healthy, or Guarita cannot decide whether to grant access.
    Unavailable = "unavailable", 503, "Service temporarily unavailable", Error;
    /// No encryption key for second factors is configured.
    MfaUnavailable = "mfa_unavailable", 503, "Second factors are not available", Info;
    /// The upstream took too long.
    GatewayTimeout = "gateway_timeout", 504, "The upstream did not respond in time", Error;
    /// The HTTP version is not supported.
    VersionNotSupported = "version_not_supported", 505, "The HTTP version is not supported", Info;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Code;

    #[test]
    fn every_code_has_its_own_text_and_an_error_status() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| (400..=599).contains(&code.status())));
    }
}
