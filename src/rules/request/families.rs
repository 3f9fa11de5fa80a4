//! The names that a caller must not send on, beside those an operator configures.
//!
//! All are written folded (lower case, `-` for every separator); a trailing `*` stands for any end.

/// Names under which gateways and frameworks say who is calling, or which request this is. Removed
/// from every request, whoever sent it.
pub(super) const IDENTITY: &[&str] = &[
    // contract section 4
    "sub",
    "app-roles",
    "x-auth-uid",
    "x-auth-sid",
    "x-auth-source",
    "x-auth-assertion",
    "x-request-id",
    // the presets of `[identity_headers]` and their kin
    "remote-user",
    "remote-name",
    "remote-email",
    "remote-groups",
    "x-remote-*",
    "x-auth-request-*",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-user",
    "x-user-id",
    "x-user-name",
    "x-user-email",
    "x-user-groups",
    "x-user-roles",
    "x-username",
    "x-groups",
    "x-roles",
    "x-authenticated-*",
    "x-webauth-*",
    "x-consumer-*",
    "x-credential-*",
    "x-anonymous-consumer",
    "x-goog-authenticated-*",
    "x-goog-iap-*",
    "x-ms-client-principal*",
    "x-amzn-oidc-*",
    "x-pomerium-*",
    "cf-access-*",
    // facts of the client certificate (RFC 9440 and what came before)
    "client-cert",
    "client-cert-chain",
    "x-client-cert*",
    "x-client-dn",
    "x-client-verify",
    "x-client-verified",
    "x-forwarded-client-cert*",
    "x-forwarded-tls-client-cert*",
    "x-ssl-*",
    "x-tls-*",
    "ssl-client-*",
    // another method or path than the one judged
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-*",
    "x-rewrite-*",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-envoy-*",
];

/// Names under which proxies say for whom they forward. Removed unless a trusted proxy sent them
/// in their own spelling; Guarita writes its own in any case.
pub(super) const FORWARDING: &[&str] = &[
    "forwarded",
    "x-forwarded*",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "x-scheme",
    "front-end-https",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
];

/// Fields of the connection to us (RFC 9110 section 7.6.1), and `Proxy`, which CGI turns into an
/// instruction. `Transfer-Encoding` is the proxy's own to rewrite, `Upgrade` and `TE` have rules of
/// their own.
pub(super) const HOP_BY_HOP: &[&str] =
    &["connection", "http2-settings", "keep-alive", "proxy", "proxy-*", "trailer"];

/// Standard names that a CGI or WSGI upstream would take another spelling for (`Content_Length`).
/// Only those other spellings are removed.
pub(super) const STANDARD: &[&str] = &[
    "accept-encoding",
    "content-encoding",
    "content-length",
    "content-type",
    "if-match",
    "if-none-match",
    "sec-websocket-*",
    "set-cookie",
    "transfer-encoding",
    "user-agent",
    "x-api-key",
    "x-csrf-token",
    "x-service-api-key",
    "x-xsrf-token",
];

/// Names that no identity header may take: they are read, framed or stripped otherwise.
pub(super) const RESERVED: &[&str] = &[
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
    "x-service-api-key",
];
