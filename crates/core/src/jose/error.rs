//! Why a token is invalid.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// Why a token is invalid. For logs and metrics only: clients get the same response for all reasons.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[error("{}", self.as_str())]
        pub enum Invalid { $($(#[$doc])* $name),+ }

        impl Invalid {
            /// Every reason, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The reason's name in logs and metric labels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

reasons! {
    /// Too long; nothing else was checked.
    TooLong = "too_long";
    /// Not three non-empty segments of base64url without padding (RFC 7515 section 7.1).
    Segments = "segments";
    /// The header is not a JSON object of the expected types, or too large.
    Header = "header";
    /// A member name occurs twice (RFC 7519 section 4).
    Duplicate = "duplicate";
    /// `alg` is missing, unknown or not that of the key.
    Algorithm = "algorithm";
    /// `typ` is not that of an access token.
    Type = "type";
    /// A header parameter that would select keys or change the interpretation of the token.
    Parameter = "parameter";
    /// `kid` is unknown. Fetching new keys may help.
    UnknownKey = "unknown_key";
    /// No `kid`, and not exactly one key of the algorithm.
    MissingKeyId = "missing_key_id";
    /// The signature is invalid.
    Signature = "signature";
    /// The payload is not a JSON object.
    Payload = "payload";
    /// A claim shows that the token has another purpose (RFC 8725 section 3.12).
    Purpose = "purpose";
    /// `iss` is missing or another issuer.
    Issuer = "issuer";
    /// `aud` is missing, malformed or does not match.
    Audience = "audience";
    /// `exp` is missing or not a time.
    ExpiresAt = "expires_at";
    /// `exp` is past.
    Expired = "expired";
    /// `nbf` is not a time.
    NotBefore = "not_before";
    /// `nbf` is in the future.
    NotYetValid = "not_yet_valid";
    /// `iat` is missing or not a time.
    IssuedAt = "issued_at";
    /// `iat` is in the future.
    IssuedInFuture = "issued_in_future";
    /// `sub` is missing or not valid in a header.
    Subject = "subject";
    /// `sid` is missing or not a session id.
    Session = "session";
    /// `jti` is missing, empty, too long or has control characters.
    TokenId = "token_id";
    /// `uid` is not the id of a row.
    User = "user";
    /// A scope is malformed, or there are too many.
    Scopes = "scopes";
    /// A claim of `required_claims` is missing or different.
    Required = "required";
    /// A role is malformed, or there are too many.
    Roles = "roles";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Invalid;

    #[test]
    fn every_reason_has_its_own_label() {
        let labels: HashSet<_> = Invalid::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(labels.len(), Invalid::ALL.len());
        assert_eq!(Invalid::UnknownKey.to_string(), "unknown_key");
    }
}
