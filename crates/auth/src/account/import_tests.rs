use std::fmt::Write as _;

use super::*;
use crate::account::administration::tests::open;
use guarita_store::sample::NOW;

const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";
const CPF: &str = "529.982.247-25";

async fn import(accounts: &Accounts, format: Format, text: &str) -> ImportReport {
    accounts.import(read(format, text.as_bytes()), false, NOW).await.unwrap()
}

fn bad(report: &ImportReport) -> Vec<(u64, &str, &str)> {
    report.bad.iter().map(|bad| (bad.line, bad.column, bad.reason.as_str())).collect()
}

#[tokio::test]
async fn both_formats_make_the_same_accounts() {
    let (_directory, _store, accounts) = open().await;
    let csv = format!(
        "\u{feff}username,email,password_hash,roles,nome_completo,cpf,oab,uf_oab,ativo,auth_user_id,email_verified\r\n\
         ana,Ana@Firma.test,{BCRYPT},b;a,\"Souza, Ana\",{CPF},123456,sp,true,01932c07-7f0c-7d5e-8a00-0123456789ab,1\r\n\
         bob,,,,,,,,0,,\r\n"
    );
    let report = import(&accounts, Format::Csv, &csv).await;
    assert_eq!(report, ImportReport { accounts: 2, bad: Vec::new() });
    let lines = format!(
        "{{\"username\":\"eve\",\"email_corporativo\":\"eve@firma.test\",\"password_hash\":\"{BCRYPT}\",\
         \"roles\":[\"a\",\"b\"],\"ativo\":true,\"email_verified\":true,\"cpf\":null}}\n\n{{\"username\":\"mal\",\"ativo\":false}}\r\n"
    );
    let report = import(&accounts, Format::JsonLines, &lines).await;
    assert_eq!(report, ImportReport { accounts: 2, bad: Vec::new() });
    for (name, roles, active, hash) in [
        ("ana", "a,b", true, BCRYPT),
        ("bob", "", false, "$none"),
        ("eve", "a,b", true, BCRYPT),
        ("mal", "", false, "$none"),
    ] {
        let account = accounts.show(name).await.unwrap().unwrap();
        assert_eq!(account.roles.header(), roles, "{name}");
        assert_eq!(account.user.active, active, "{name}");
        assert_eq!(account.user.email_verified_at.is_some(), active, "{name}");
        assert_eq!(account.user.password_hash.expose(), hash, "{name}");
    }
    let ana = accounts.show("ana").await.unwrap().unwrap();
    assert_eq!(ana.profile.cpf.unwrap().expose(), "52998224725");
    assert_eq!(ana.profile.full_name.unwrap().expose(), "Souza, Ana");
    assert_eq!(ana.profile.oab.unwrap().state().as_str(), "SP");
}

#[tokio::test]
async fn one_bad_row_keeps_out_all_and_every_bad_one_is_told_without_its_content() {
    let (_directory, store, accounts) = open().await;
    let dear = BCRYPT.replacen("$04$", "$31$", 1);
    let csv = format!(
        "username,email,password_hash,cpf,oab,uf_oab,roles,ativo\n\
         good,good@b.test,,{CPF},,,a,\n\
         ,x@b.test,,,,,,\n\
         system,nonsense,plain-secret,111.111.111-11,x,SP,,maybe\n\
         dear,,{dear},,12,XX,,\n\
         GOOD,GOOD@B.TEST,,52998224725,,,,\n\
         \"two\nlines\",,,,,,,\n\
         short,x\n\
         half,,,,12,,,\n"
    );
    let report = import(&accounts, Format::Csv, &csv).await;
    let told = bad(&report);
    let places: Vec<_> = told.iter().map(|(line, column, _)| (*line, *column)).collect();
    assert_eq!(
        places,
        [
            (3, "username"),
            (4, "username"),
            (4, "email"),
            (4, "password_hash"),
            (4, "ativo"),
            (4, "oab"),
            (4, "cpf"),
            (5, "password_hash"),
            (5, "uf_oab"),
            (6, "username"),
            (6, "email"),
            (6, "cpf"),
            (7, "username"),
            (9, "row"),
            (10, "oab"),
        ]
    );
    let all = format!("{report:?}");
    for secret in ["nonsense", "plain-secret", "111.111", "$31$", "52998", "two\\nlines", "good@b"]
    {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    assert!(accounts.show("good").await.unwrap().is_none());
    // And against the store: the same good row twice.
    let one = format!("username,cpf\ngood,{CPF}\n");
    assert!(import(&accounts, Format::Csv, &one).await.bad.is_empty());
    let before = store.read().await.unwrap().last_change().await.unwrap();
    let again = import(&accounts, Format::Csv, &one).await;
    let taken = "belongs to an existing account";
    assert_eq!(bad(&again), [(2, "username", taken), (2, "cpf", taken)]);
    assert_eq!(store.read().await.unwrap().last_change().await.unwrap(), before);
}

#[tokio::test]
async fn files_that_are_not_what_they_should_be_are_refused_whole() {
    let (_directory, _store, accounts) = open().await;
    let long = format!("username\n{}\n", "x".repeat(20_000));
    for (text, reason) in [
        ("", "the header has no column username"),
        ("email\na@b\n", "the header has no column username"),
        ("hunter2,pass\n", "column 1 of the header is not a known column"),
        ("username,username\n", "the header has username twice"),
        (&long, "is longer than 16 KiB"),
        ("username,email\na\n", "has a different number of fields than the header"),
    ] {
        let report = import(&accounts, Format::Csv, text).await;
        assert_eq!(report.bad.first().unwrap().reason, reason);
        assert!(!format!("{report:?}").contains("hunter2"));
    }
    let not_utf8 = read(Format::Csv, b"username\n\xff\xfe\n");
    assert_eq!(not_utf8.bad[0].reason, "is not UTF-8");
    for (text, reason) in [
        ("[]", "is not a JSON object"),
        ("\"hunter2\"", "is not a JSON object"),
        ("{", "is not a JSON object"),
        ("{\"pass\":\"hunter2\"}", "has a member that is not a known column"),
        ("{\"username\":\"a\",\"cpf\":52998224725}", "cpf has a value of the wrong type"),
        ("{\"username\":\"a\",\"roles\":[1]}", "roles must be a list of strings"),
    ] {
        let report = import(&accounts, Format::JsonLines, text).await;
        assert_eq!(report.bad.first().unwrap().reason, reason, "{text}");
        assert!(!format!("{report:?}").contains("hunter2"));
    }
    let mut many = "username\n".to_owned();
    for number in 0..=50_000 {
        writeln!(many, "u{number}").unwrap();
    }
    let rows = read(Format::Csv, many.as_bytes());
    assert_eq!(rows.bad[0].reason, "there are more than 50,000 rows");
}

#[tokio::test]
async fn a_dry_run_tells_everything_and_does_nothing() {
    let (_directory, _store, accounts) = open().await;
    let rows = read(Format::Csv, b"username\nana\n");
    let report = accounts.import(rows, true, NOW).await.unwrap();
    assert_eq!(report, ImportReport { accounts: 1, bad: Vec::new() });
    assert!(accounts.show("ana").await.unwrap().is_none());
}
