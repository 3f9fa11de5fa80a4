//! `[mail]`, `[recovery]`, `[verification]` and the list of breached passwords.

use super::*;
use guarita_core::Language;
use guarita_mail::MailTls;

const MAIL: &str = "[mail]\nserver = \"smtp.example.test\"\nsender = \"a@example.test\"\n";

fn told(text: &str) -> Vec<String> {
    Place::new(&format!("{text}{LISTENER}")).problems()
}

#[test]
fn a_mail_server_has_sensible_defaults() {
    let text = format!("public_url = \"https://gate.test:8443\"\n{MAIL}{LISTENER}");
    let mail = Place::new(&text).load().result.unwrap().mail.unwrap();
    assert_eq!((mail.tls, mail.port, mail.language), (MailTls::StartTls, 587, Language::En));
    assert_eq!((&*mail.sender_name, mail.timeout), ("gate.test", Duration::from_secs(30)));
    for (tls, port) in [("tls", 465), ("none", 25)] {
        let text = format!("{MAIL}tls = \"{tls}\"\n{LISTENER}");
        assert_eq!(Place::new(&text).load().result.unwrap().mail.unwrap().port, port);
    }
}

#[test]
fn what_cannot_be_meant_of_a_mail_server_is_told() {
    for (key, said) in [
        ("port = 0", "mail.port: must be 1 to 65535"),
        ("port = 65536", "mail.port: must be 1 to 65535"),
        ("timeout = \"0s\"", "mail.timeout: must be 1s to 5m"),
        ("timeout = \"301s\"", "mail.timeout: must be 1s to 5m"),
        ("language = \"de\"", "mail.language: must be"),
        ("tls = \"ssl\"", "mail.tls: must be"),
        ("sender_name = \"a\\r\\nb\"", "mail.sender_name: must be 1 to 100 bytes"),
        ("username = \"gate\"", "mail.password: is missing"),
        ("password = \"hunter2\"", "mail.username: is missing"),
        ("password = \"hunter2\"\npassword_file = \"x\"", "mail.password_file: is set twice"),
        ("username = \"a\\nb\"\npassword = \"hunter2\"", "mail.password: must be 1 to 4096"),
        ("ca = \"missing.pem\"", "mail.ca: missing.pem cannot be read"),
        ("tls = \"none\"\nusername = \"a\"\npassword = \"hunter2\"", "mail.tls: would send"),
    ] {
        let told = told(&format!("{MAIL}{key}\n")).join("\n");
        assert!(told.contains(said) && !told.contains("hunter2"), "{key}: {told}");
    }
    for (text, said) in [
        ("[mail]\nsender = \"a@b\"\n", "mail.server: is missing"),
        ("[mail]\nserver = \"smtp.test\"\n", "mail.sender: is missing"),
        ("[mail]\nserver = \"smtp.test:25\"\nsender = \"a@b\"\n", "mail.server: is not a host"),
        ("[mail]\nserver = \"a b\"\nsender = \"a@b\"\n", "mail.server: is not a host"),
        ("[mail]\nserver = \"smtp.test\"\nsender = \"a b@c\"\n", "mail.sender: is not an e-mail"),
        ("[recovery]\nttl = \"3601s\"\n", "recovery.ttl: must be 1s to 1h"),
        ("[recovery]\nttl = \"0s\"\n", "recovery.ttl: must be 1s to 1h"),
        ("[recovery]\nurl = \"/reset\"\n", "recovery.url: must be an http or https URL"),
        ("[recovery]\nurl = \"https://a.test/#x\"\n", "recovery.url: must be"),
        ("[verification]\nttl = \"2h\"\n", "verification.ttl: must be 1s to 1h"),
        ("[verification]\nurl = \"https://u:p@a.test/\"\n", "verification.url: must be"),
        ("[passwords]\nmin_score = 5\n", "passwords.min_score: must be 0 to 4"),
        ("[passwords]\nbreached_file = \"none.txt\"\n", "passwords.breached_file: none.txt cannot"),
        ("[passwords]\nbreached_file = \"guarita.toml\"\n", "not a sorted list"),
    ] {
        let told = told(text).join("\n");
        assert!(told.contains(said), "{text}: {told}");
    }
}
