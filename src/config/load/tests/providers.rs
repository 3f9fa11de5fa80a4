//! `[[providers]]`, from text to settings.

use super::*;
use guarita_auth::snapshot::provider::KeysAt;
use guarita_core::jose::ClaimPath;

const IDP: &str =
    "[[providers]]\nname = \"idp\"\nissuer = \"https://idp.test/t\"\naudience = \"api\"\n";

fn place(more: &str) -> Place {
    Place::new(&format!("{LISTENER}{IDP}{more}"))
}

#[test]
fn a_provider_needs_a_name_an_issuer_and_an_audience_and_has_defaults_for_the_rest() {
    let config = place("").load().result.unwrap();
    let provider = &config.providers[0];
    assert_eq!((&*provider.name, &*provider.expected.token.issuer), ("idp", "https://idp.test/t"));
    assert_eq!(provider.expected.token.audiences, [std::sync::Arc::<str>::from("api")]);
    assert_eq!(provider.expected.token.leeway, config.expectations.leeway);
    assert!(provider.secret.is_none() && provider.expected.keep_unmapped);
    let published = provider.published.as_ref().unwrap();
    assert_eq!(published.at, KeysAt::Discovery);
    let seconds = [published.refresh, published.cooldown, published.max_age].map(|it| it.as_secs());
    assert_eq!(seconds, [300, 30, 86_400]);
}

#[test]
fn keys_are_where_the_provider_says_it_or_the_operator_does() {
    let secret = "secret = \"0123456789abcdef0123456789abcdef\"\n";
    let uri = "jwks_uri = \"https://keys.test/k\"\n";
    let url = |text: &str| Some(KeysAt::Url(text.into()));
    let both = format!("{secret}{uri}");
    let with_discovery = format!("{secret}discovery = true\n");
    for (more, at, has_secret) in [
        (uri, url("https://keys.test/k"), false),
        (secret, None, true),
        (&both, url("https://keys.test/k"), true),
        (&with_discovery, Some(KeysAt::Discovery), true),
        ("preset = \"supabase\"\n", url("https://idp.test/t/.well-known/jwks.json"), false),
    ] {
        let provider = place(more).load().result.unwrap().providers.remove(0);
        assert_eq!(provider.published.map(|published| published.at), at, "{more}");
        assert_eq!(provider.secret.is_some(), has_secret, "{more}");
    }
    // ID tokens are never verified with the secret: their keys are fetched all the same.
    let login = "client_id = \"c\"\nusers = \"linked\"\n";
    for (more, at, for_access_tokens) in [
        (String::new(), KeysAt::Discovery, true),
        (uri.into(), KeysAt::Url("https://keys.test/k".into()), true),
        (secret.into(), KeysAt::Discovery, false),
        (format!("{secret}discovery = false\n"), KeysAt::Discovery, false),
        (with_discovery.clone(), KeysAt::Discovery, true),
    ] {
        let provider = place(&format!("{more}{login}")).load().result.unwrap().providers.remove(0);
        let published = provider.published.unwrap();
        assert_eq!((published.at, published.for_access_tokens), (at, for_access_tokens), "{more}");
    }
}

#[test]
fn what_would_let_others_in_is_refused() {
    let long = "x".repeat(256);
    for (more, told) in [
        ("discovery = false\n", "has no keys"),
        ("discovery = false\nclient_id = \"c\"\nusers = \"linked\"\n", "has no keys"),
        ("secret = \"too short\"\n", "secret must have 32"),
        ("jwks_uri = \"http://keys.test/k\"\n", "must be an https URL"),
        ("jwks_uri = \"https://user@keys.test/k\"\n", "must be an https URL"),
        ("leeway = \"61s\"\n", "must be 0s to 1m"),
        ("keys_refresh = \"0s\"\n", "must be 1s to 1d"),
        ("keys_cooldown = \"10m\"\n", "at most keys_refresh"),
        ("keys_max_age = \"31d\"\n", "must be 1s to 30d"),
        ("role_map = { a = \"not a role\" }\n", "role_map"),
        ("token_type = \"id\"\n", "token_type"),
        ("ca = \"missing.pem\"\n", "cannot be read"),
        (&format!("subject_from = \"{long}\"\n"), "1 to 255 bytes"),
        (&format!("required_claims = {{ a = \"{long}\" }}\n"), "1 to 255 bytes"),
        ("client_id = \"c\"\n", "a session needs an account"),
        ("users = \"create\"\nclient_secret = \"s\"\n", "has no client_id"),
        ("link_by = [\"email\"]\n", "must be \"linked\""),
        ("users = \"create\"\ndefault_roles = [\"a b\"]\n", "default_roles"),
        ("link_from = [\"uid\"]\n", "must be \"linked\""),
        ("users = \"linked\"\nlink_from = []\n", "is empty"),
        ("users = \"linked\"\nlink_from = [\"\"]\n", "1 to 255 bytes"),
        (&format!("users = \"linked\"\nlink_from = {:?}\n", ["uid"; 9]), "at most 8"),
        ("cookie_name = \"c\"\n", "supabase"),
        (IDP, "is a duplicate"),
        (&IDP.replace("idp", "other").replace("https://other.test/t", "ms-auth"), "Guarita's own"),
    ] {
        let problems = place(more).problems();
        assert!(problems.iter().any(|problem| problem.contains(told)), "{more}: {problems:?}");
    }
    let text = IDP.replace("audience = \"api\"", "audience = []");
    let problems = Place::new(&format!("{LISTENER}{text}")).problems();
    assert!(problems[0].contains("no audience"), "{problems:?}");
    let insecure = IDP.replace("https", "http");
    let problems = Place::new(&format!("{LISTENER}{insecure}")).problems();
    assert!(problems[0].contains("must be an https URL"), "{problems:?}");
    let local = IDP.replace("https://idp.test", "http://127.0.0.1:8080");
    assert!(Place::new(&format!("{LISTENER}{local}")).load().result.is_ok());
}

#[test]
fn people_log_in_where_there_is_a_client() {
    let more = "users = \"create\"\nclient_id = \"c\"\nclient_secret = \"s\"\n";
    let provider = place(more).load().result.unwrap().providers.remove(0);
    let client = provider.client.unwrap();
    assert_eq!((&*client.id, &*client.label), ("c", "idp"));
    assert_eq!(client.scopes, ["openid", "profile", "email"].map(Box::from));
    let accounts = provider.accounts.unwrap();
    assert_eq!(accounts.create, Some(Vec::new()));
    assert!(!accounts.by_email && !accounts.by_auth_user && !accounts.by_cpf);
}

#[test]
fn accounts_are_linked_by_sub_unless_the_operator_names_other_claims() {
    let sub = ClaimPath::new("sub");
    for (more, expected) in [
        ("", vec![sub.clone()]),
        ("users = \"linked\"\nlink_from = [\"uid\", \"sub\"]\n", vec![ClaimPath::new("uid"), sub]),
    ] {
        let provider = place(more).load().result.unwrap().providers.remove(0);
        assert_eq!(provider.expected.link_from, expected, "{more}");
        assert_eq!(provider.expected.subject_from, ClaimPath::new("sub"));
    }
}

#[test]
fn to_accept_others_only_there_must_be_others() {
    let problems = Place::new(&format!("mode = \"external\"\n{LISTENER}")).problems();
    assert!(problems[0].contains("none is configured"), "{problems:?}");
    let config = Place::new(&format!("mode = \"external\"\n{LISTENER}{IDP}")).load();
    assert!(config.result.unwrap().expectations.audiences.is_empty());
}
