//! The paths that Guarita serves itself. No route can override them.

use http::{HeaderMap, header};

/// Path trees and pages that are reserved, including those that this version does not serve yet, so that a later
/// version does not take over paths that are forwarded today.
const TREES: [&str; 4] = ["/auth", "/oauth2", "/admin/api", "/.well-known/guarita"];
const PAGES: [&str; 12] = [
    "/login",
    "/mfa",
    "/recover",
    "/recover/confirm",
    "/reset",
    "/verify-email",
    "/verify-email/confirm",
    "/account",
    "/openapi.json",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
];

/// Whether a canonical path is reserved for Guarita.
pub fn owns(path: &str) -> bool {
    let in_tree = |tree: &str| {
        path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    TREES.into_iter().any(in_tree) || PAGES.contains(&path)
}

/// The media type of a form.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Pages that accept a form; they check the CSRF token in the form.
const FORMS: [&str; 6] = ["/login", "/mfa", "/recover", "/reset", "/verify-email", "/account"];

/// Whether a request sends a form to a page that accepts one.
pub fn takes_form(path: &str, headers: &HeaderMap) -> bool {
    FORMS.contains(&path) && is_type(headers, FORM)
}

/// Whether the body has a media type, ignoring parameters. False if there are two `Content-Type` fields.
pub fn is_type(headers: &HeaderMap, essence: &str) -> bool {
    let mut fields = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(Ok(value)), None) = (fields.next().map(|field| field.to_str()), fields.next()) else {
        return false;
    };
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(essence)
}

#[cfg(test)]
mod tests {
    use super::owns;

    #[test]
    fn trees_and_pages_are_ours_and_nothing_beside_them() {
        for path in [
            "/auth",
            "/auth/login",
            "/auth/x/y",
            "/login",
            "/openapi.json",
            "/.well-known/jwks.json",
        ] {
            assert!(owns(path), "{path}");
        }
        for path in ["/", "/authx", "/login/x", "/api/auth/token", "/.well-known/acme", "/admin"] {
            assert!(!owns(path), "{path}");
        }
    }
}
