use super::*;

const KEY: &str = "encryption_key = \"a key of more than thirty-two characters\"\n";

#[test]
fn what_second_factors_are_demanded_of_and_how_lately_one_must_have_logged_in() {
    let text = |keys: &str| format!("[mfa]\n{KEY}{keys}\n{LISTENER}");
    let config = Place::new(&text("")).load().result.unwrap();
    assert!(config.required_roles.is_empty());
    assert_eq!(config.mfa.recent_login, Duration::from_secs(600));
    let keys = "required_roles = [\"admin\", \"audit\"]\nrecent_login = \"0s\"";
    let config = Place::new(&text(keys)).load().result.unwrap();
    let names: Vec<_> = config.required_roles.iter().map(guarita_core::Role::as_str).collect();
    assert_eq!((names, config.mfa.recent_login), (vec!["admin", "audit"], Duration::ZERO));
    let many = format!("required_roles = [{}]", "\"r\",".repeat(257));
    for (keys, key, part) in [
        ("required_roles = [\"a b\"]", "required_roles[0]", "a role is empty"),
        ("required_roles = [\"\"]", "required_roles[0]", "a role is empty"),
        ("required_roles = \"admin\"", "required_roles", "must be"),
        (&many, "required_roles", "256"),
        ("recent_login = \"25h\"", "recent_login", "must be 0s to 1d"),
        ("recent_login = \"soon\"", "recent_login", "is not a valid duration"),
    ] {
        let told = Place::new(&text(keys)).problems();
        assert!(told[0].contains(&format!("mfa.{key}: ")), "{told:?}");
        assert!(told[0].contains(part), "{told:?}");
    }
}

#[test]
fn a_factor_that_nobody_can_enrol_is_not_demanded() {
    let text = format!("[mfa]\nrequired_roles = [\"admin\"]\n{LISTENER}");
    let told = Place::new(&text).problems();
    assert!(told[0].contains("mfa.required_roles: cannot be met"), "{told:?}");
    let key = [("TOTP_ENC_KEY", "a key of more than thirty-two characters")];
    assert!(Place::new(&text).load_with(&key).result.is_ok());
}
