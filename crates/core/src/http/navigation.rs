//! Whether a request is a browser's navigation to a page.

use http::{HeaderMap, Method, header};

/// Whether the request is a GET or HEAD that accepts HTML, as browsers send for a page and scripts do not.
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        && headers.get_all(header::ACCEPT).iter().any(|field| takes_html(field.as_bytes()))
}

fn takes_html(accept: &[u8]) -> bool {
    accept.split(|byte| *byte == b',').any(|range| {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let html = parts.next().is_some_and(|range| range.eq_ignore_ascii_case(b"text/html"));
        html && !parts.any(|parameter| matches!(parameter, b"q=0" | b"q=0.0" | b"Q=0"))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_asks_for_html_is_a_person() {
        for (method, accept, expected) in [
            ("GET", "text/html", true),
            ("HEAD", "text/html,application/xhtml+xml;q=0.9", true),
            ("GET", "application/json, TEXT/HTML;q=0.5", true),
            ("GET", "text/html;q=0, */*", false),
            ("GET", "*/*", false),
            ("GET", "text/htmlx", false),
            ("GET", "", false),
            ("POST", "text/html", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(is_navigation(&method.parse().unwrap(), &headers), expected, "{accept}");
        }
        assert!(!is_navigation(&Method::GET, &HeaderMap::new()));
    }
}
