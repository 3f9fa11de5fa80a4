//! Cookies that are the gateway's own and no upstream's business (contract section 4).

use http::HeaderValue;

/// How the names of our own cookies begin; browsers compare it without regard to case.
const PREFIX: &[u8] = b"__host-guarita-";

/// The field without our own cookies: `None` where none of them is in it, an empty value where
/// nothing else is.
pub fn without_own(field: &HeaderValue) -> Option<HeaderValue> {
    let pairs = || field.as_bytes().split(|byte| *byte == b';');
    if !pairs().any(is_own) {
        return None;
    }
    let kept: Vec<&[u8]> = pairs().filter(|pair| !is_own(pair)).map(<[u8]>::trim_ascii).collect();
    let kept = kept.join(&b"; "[..]);
    Some(HeaderValue::from_bytes(&kept).unwrap_or(HeaderValue::from_static("")))
}

fn is_own(pair: &[u8]) -> bool {
    let name = pair.trim_ascii().get(..PREFIX.len());
    name.is_some_and(|name| name.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cookies_go_and_others_stay_as_they_are() {
        for (field, left) in [
            ("a=1; __Host-guarita-device=x; b=2", Some("a=1; b=2")),
            ("__Host-guarita-device=x", Some("")),
            ("__HOST-GUARITA-session=x;a=1;__host-guarita-y", Some("a=1")),
            ("a=1;  b=2", None),
            ("x__Host-guarita-device=1", None),
            ("", None),
        ] {
            let field = HeaderValue::from_str(field).unwrap();
            let left = left.map(|left| HeaderValue::from_str(left).unwrap());
            assert_eq!(without_own(&field), left, "{field:?}");
        }
    }
}
