//! Fetches a provider's keys: discovery and JWK Set.

use std::net::IpAddr;

use reqwest::Url;
use serde::Deserialize;

use super::fetch::Fetcher;
use crate::federation::error::FetchError;
use crate::snapshot::provider::{KeysAt, ProviderSettings};
use guarita_core::jose::KeySet;

/// The path of the discovery document, after the issuer (OpenID Connect Discovery 1.0 section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Maximum length of a URL, in bytes.
const MAX_URL: usize = 2048;

/// The fields of a discovery document that are used.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Fetches the keys once, to check whether it works. Takes at most 20 s.
///
/// # Errors
/// Why the keys could not be fetched.
pub async fn fetch_keys(settings: &ProviderSettings) -> Result<KeySet, FetchError> {
    let ca = settings.published.as_ref().and_then(|published| published.ca.clone());
    fetch(&Fetcher::new(ca).await?, settings).await
}

pub(super) async fn fetch(
    fetcher: &Fetcher,
    settings: &ProviderSettings,
) -> Result<KeySet, FetchError> {
    let issuer = &settings.expected.token.issuer;
    let url = match settings.published.as_ref().map(|published| &published.at) {
        Some(KeysAt::Url(url)) => url.to_string(),
        Some(KeysAt::Discovery) | None => {
            let document = format!("{}{DISCOVERY}", issuer.trim_end_matches('/'));
            keys_url(&fetcher.get(&document).await?, issuer)?
        }
    };
    Ok(KeySet::parse(&fetcher.get(&url).await?)?)
}

/// The URL of the keys. The document must be that of the issuer, compared exactly (OpenID Connect
/// Discovery 1.0 section 4.3), and the URL must be as safe as the issuer.
fn keys_url(document: &[u8], issuer: &str) -> Result<String, FetchError> {
    let said: Discovery = serde_json::from_slice(document).map_err(|_| FetchError::Discovery)?;
    if said.issuer != issuer {
        return Err(FetchError::Issuer);
    }
    if said.jwks_uri.len() > MAX_URL || !is_https_or_internal(&said.jwks_uri, issuer) {
        return Err(FetchError::Url);
    }
    Ok(said.jwks_uri)
}

/// Whether a URL from a document neither leads deeper into the internal network nor uses a weaker connection than
/// the configured issuer.
pub(super) fn is_https_or_internal(url: &str, issuer: &str) -> bool {
    let (Ok(url), Ok(issuer)) = (Url::parse(url), Url::parse(issuer)) else { return false };
    // As it is connected to: whatever its spelling, an address is an address here.
    let (Some(host), Some(own)) = (url.host_str(), issuer.host_str()) else { return false };
    let as_secure =
        url.scheme() == "https" || (url.scheme() == "http" && issuer.scheme() == "http");
    as_secure && (host == own || !is_internal_host(host))
}

fn is_internal_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let name = host.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost") || address.is_ok_and(is_internal)
}

/// Whether an address is loopback, private or otherwise not public.
fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            // Shared address space (RFC 6598), and what no host has (RFC 1122 section 3.2.1.3).
            let shared = first == 100 && (64..128).contains(&second);
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || shared || first == 0
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// oidc-client-002
    #[test]
    fn a_discovery_document_is_that_of_its_issuer_to_the_letter() {
        let issuer = "https://idp.test/tenant";
        let read = |said: &str, keys: &str| {
            let document = format!(r#"{{"issuer":"{said}","jwks_uri":"{keys}"}}"#);
            keys_url(document.as_bytes(), issuer)
        };
        assert_eq!(read(issuer, "https://keys.test/k").unwrap(), "https://keys.test/k");
        for said in
            ["https://idp.test/tenant/", "http://idp.test/tenant", "https://IDP.test/tenant"]
        {
            assert!(matches!(read(said, "https://keys.test/k"), Err(FetchError::Issuer)), "{said}");
        }
        let long = format!("https://keys.test/{}", "k".repeat(MAX_URL));
        // jwks-dos-003
        for keys in [
            "http://idp.test/k",
            "file:///etc/passwd",
            "",
            &long,
            "https://169.254.169.254/k",
            "https://127.0.0.1/k",
            "https://10.0.0.1:8443/k",
            "https://[::1]/k",
            "https://[::ffff:192.168.0.1]/k",
            "https://[fd00::1]/k",
            "https://2130706433/k",
            "https://127.1/k",
            "https://0x7f000001/k",
            "https://100.64.0.1/k",
            "https://localhost/k",
            "https://LOCALHOST./k",
        ] {
            assert!(matches!(read(issuer, keys), Err(FetchError::Url)), "{keys}");
        }
        for document in ["", "[]", "{}", r#"{"issuer":"https://idp.test/tenant"}"#] {
            assert!(matches!(keys_url(document.as_bytes(), issuer), Err(FetchError::Discovery)));
        }
    }
}
