//! `[endpoints]`, and the paths that Guarita serves itself.

use super::super::written::RawConfig;
use super::ConfigResolver;

/// Paths that are reserved with everything below them.
const OWN_TREES: [&str; 5] = ["/auth", "/oauth2", "/admin/api", "/recover", "/verify-email"];

const OWN_PATHS: [&str; 8] = [
    "/login",
    "/mfa",
    "/reset",
    "/account",
    "/openapi.json",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
];

/// The alias that is always present.
const TOKEN_ALIAS: (&str, &str) = ("/api/auth/token", "/auth/token");

/// Whether a path or path pattern is entirely within the paths that Guarita serves itself.
pub(super) fn is_own(path: &str) -> bool {
    let below = |tree: &str| {
        path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    OWN_PATHS.contains(&path) || OWN_TREES.into_iter().any(below)
}

/// Alias to own path, the built-in one first.
pub(super) fn aliases(
    written: &RawConfig,
    reader: &mut ConfigResolver<'_>,
) -> Vec<(Box<str>, Box<str>)> {
    let (alias, target) = TOKEN_ALIAS;
    let mut aliases = vec![(alias.into(), target.into())];
    for (alias, target) in written.endpoints.aliases.iter().flatten() {
        if (alias.as_str(), target.as_str()) == TOKEN_ALIAS {
            continue;
        }
        let path = format!("endpoints.aliases.{alias}");
        if !is_plain(alias) || is_own(alias) || alias == TOKEN_ALIAS.0 {
            let what = "must be a path that is not served already: visible ASCII, at most 2048 bytes, no // ? # % {";
            reader.report.problem(&path, what);
        }
        if !is_plain(target) || !is_own(target) {
            reader.report.problem_with_hint(
                &path,
                "must be an alias of a path that Guarita serves itself",
                "for example \"/auth/login\"",
            );
        }
        aliases.push((alias.as_str().into(), target.as_str().into()));
    }
    aliases
}

fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= 2048
        && !path.contains("//")
        && !path.split('/').any(|segment| segment == "." || segment == "..")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%{}\\;".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_paths_are_told_from_their_neighbours() {
        for path in ["/auth", "/auth/login", "/auth/{*rest}", "/oauth2/token", "/login"] {
            assert!(is_own(path), "{path}");
        }
        for path in ["/", "/{*rest}", "/authors", "/admin/{*rest}", "/account/{id}", "/api/auth"] {
            assert!(!is_own(path), "{path}");
        }
    }
}
