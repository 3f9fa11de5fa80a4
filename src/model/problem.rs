//! The one table of refusals: each code has one status, one title and one log level.

/// How loudly a refusal is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A caller's mistake.
    Info,
    /// Worth an operator's look.
    Warn,
    /// Ours.
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

            /// The `title` member: says nothing that helps to enumerate.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }

            /// The code that a bare status stands for; [`Code::Internal`] where none has it.
            pub fn of_status(status: u16) -> Self {
                Self::ALL.iter().copied().find(|code| code.status() == status).unwrap_or(Self::Internal)
            }

            /// How loudly it is logged.
            pub const fn level(self) -> Level {
                match self { $(Self::$name => Level::$level),+ }
            }
        }
    };
}

codes! {
    /// The request has no single meaning, or cannot be parsed.
    BadRequest = "bad_request", 400, "The request is malformed or ambiguous", Info;
    /// A body that is not the JSON the endpoint takes.
    InvalidBody = "invalid_body", 400, "The body is not what this endpoint takes", Info;
    /// The token of a link is unknown, used, expired or void; says no more.
    InvalidToken = "invalid_token", 400, "The link is not valid any more", Info;
    /// No credential that counts.
    Unauthorized = "unauthorized", 401, "A valid credential is required", Info;
    /// User name or password do not match; says no more.
    InvalidCredentials = "invalid_credentials", 401, "The credentials are not valid", Info;
    /// The client is unknown, or its secret is not the one (RFC 6749 section 5.2); says no more.
    InvalidClient = "invalid_client", 401, "The client is not known by this", Warn;
    /// The refresh token is unknown, used, expired or revoked.
    InvalidRefreshToken = "invalid_refresh_token", 401, "The refresh token is not valid", Info;
    /// The password is right and a second factor is asked for.
    MfaRequired = "mfa_required", 401, "A second factor is required", Info;
    /// The ticket of a login is unknown, used up or expired.
    InvalidMfaToken = "invalid_mfa_token", 401, "The login must begin anew", Info;
    /// The code is wrong or was used before.
    InvalidCode = "invalid_code", 401, "The code is not valid", Info;
    /// A credential that counts, and may not.
    Forbidden = "forbidden", 403, "The caller may not do this", Info;
    /// The password is right, and the account's e-mail address is not proven.
    EmailUnverified = "email_unverified", 403, "The e-mail address must be verified first", Info;
    /// The route asks for a second factor, and the session was opened without one (RFC 9470).
    SecondFactorRequired = "insufficient_user_authentication", 403, "A second factor is required here", Info;
    /// A request under a cookie that another site may have caused.
    CsrfFailed = "csrf_failed", 403, "The request does not show that it was meant", Info;
    /// The login is too long ago for this: it takes the password, or a code, once more.
    ProofRequired = "reauthentication_required", 403, "The password or a current code is required here", Info;
    /// Nothing here, said to the authenticated only.
    NotFound = "not_found", 404, "There is nothing here", Info;
    /// The route or endpoint does not take this method.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed here", Info;
    /// The caller took too long to send the request.
    RequestTimeout = "request_timeout", 408, "The request took too long to arrive", Info;
    /// The factor is active already.
    MfaActive = "mfa_active", 409, "A second factor is active", Info;
    /// There is no factor to confirm or disable.
    MfaNotEnrolled = "mfa_not_enrolled", 409, "There is no second factor", Info;
    /// The body is larger than the route allows.
    BodyTooLarge = "body_too_large", 413, "The body is too large", Info;
    /// The request target is longer than allowed.
    TargetTooLong = "target_too_long", 414, "The request target is too long", Info;
    /// The body's type is not what the endpoint takes.
    UnsupportedMediaType = "unsupported_media_type", 415, "The content type is not supported here", Info;
    /// The expectation cannot be met (RFC 9110 section 10.1.1).
    ExpectationFailed = "expectation_failed", 417, "The expectation cannot be met", Info;
    /// The connection's certificate does not cover this authority (RFC 9110 section 15.5.20).
    MisdirectedRequest = "misdirected_request", 421, "The request does not belong on this connection", Info;
    /// The new password is short, guessable or known from a breach.
    WeakPassword = "weak_password", 422, "The new password is too weak", Info;
    /// Too many failures: the account is locked for a while.
    Locked = "locked", 429, "Too many failures; try again later", Warn;
    /// Too many requests from one source or connection.
    RateLimited = "rate_limited", 429, "Too many requests; try again later", Warn;
    /// Too many header fields, or too large.
    HeadersTooLarge = "headers_too_large", 431, "The header fields are too large", Info;
    /// A fault of ours; the log has the cause.
    Internal = "internal_error", 500, "Something failed here", Error;
    /// A method that no proxy forwards (CONNECT, TRACE).
    NotImplemented = "not_implemented", 501, "The method is not supported", Info;
    /// The upstream could not be reached or broke its answer.
    BadGateway = "bad_gateway", 502, "The upstream did not answer properly", Error;
    /// No upstream server is healthy, or Guarita cannot know whether to let the caller in.
    Unavailable = "unavailable", 503, "The service is not available now", Error;
    /// No encryption key is configured.
    MfaUnavailable = "mfa_unavailable", 503, "Second factors are not available here", Info;
    /// The upstream took too long.
    GatewayTimeout = "gateway_timeout", 504, "The upstream took too long to answer", Error;
    /// The HTTP version is not spoken here.
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
