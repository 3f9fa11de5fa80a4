//! The endpoints of our own accounts, where there are none.

use axum::Router;
use axum::routing::any;

use super::request_info::RequestInfo;
use guarita_core::Code;

/// What serves the accounts of our own.
const ACCOUNTS: [&str; 16] = [
    "/auth/login",
    "/auth/token",
    "/auth/refresh",
    "/auth/password",
    "/auth/mfa/totp/enroll",
    "/auth/mfa/totp/confirm",
    "/auth/mfa/totp/disable",
    "/auth/mfa/recovery-codes",
    "/auth/mfa/challenge",
    "/recover",
    "/recover/confirm",
    "/verify-email",
    "/verify-email/confirm",
    "/reset",
    "/mfa",
    "/account",
];

/// Where others issue the tokens, there are no accounts: 404 for everybody.
pub(super) fn absent() -> Router {
    let gone = |arrival: RequestInfo| async move { arrival.refuse(Code::NotFound) };
    ACCOUNTS.into_iter().fold(Router::new(), |router, path| router.route(path, any(gone)))
}
