//! The instructions that the quickstart prints.

use std::fmt::Write as _;
use std::path::Path;

use super::accounts::CreatedAccount;

/// The text printed at the start. It has passwords only if they were just created.
pub fn text(directory: &Path, port: u16, made: &[CreatedAccount]) -> String {
    let data = directory.display();
    let base = format!("https://localhost:{port}");
    let curl = format!("curl --silent --show-error --cacert {data}/ca.pem");
    let mut text = format!(
        "\nGuarita listens on {base}, in front of a demo upstream.\n\
         In a browser: {base}/orders/1 (it shows a warning: the certificate is signed by a development CA)\n\n"
    );
    // Writing to a String cannot fail.
    for account in made {
        let _ = writeln!(
            text,
            "  {:<7} password {}   (shown only once)",
            account.username,
            account.password.expose()
        );
    }
    if made.is_empty() {
        let _ = writeln!(
            text,
            "  The accounts admin and reader were created at the first start. To set a new password:\n  \
             guarita user set-password --config {data}/guarita.toml --username admin --generate"
        );
    }
    let password = |username: &str| {
        made.iter().find(|account| account.username == username).map_or_else(
            || format!("${}_PASSWORD", username.to_uppercase()),
            |account| account.password.expose().to_owned(),
        )
    };
    let login = |username: &str| {
        format!(
            "{curl} --write-out '\\n%{{http_code}}\\n' --header 'content-type: application/json' \
             --data '{{\"username\":\"{username}\",\"password\":\"'\"{}\"'\"}}' {base}/auth/login",
            password(username)
        )
    };
    let token = "sed -n 's/.*\"accessToken\":\"\\([^\"]*\\)\".*/\\1/p'";
    let status = "--output /dev/null --write-out '%{http_code}\\n'";
    let _ = write!(
        text,
        "\n# without a token: 401\n\
         {curl} {status} {base}/orders/1\n\
         \n# log in: 200 and a token\n\
         LOGIN=$({})\n\
         echo \"$LOGIN\" | tail -n 1\n\
         TOKEN=$(echo \"$LOGIN\" | {token})\n\
         \n# with the token: the upstream shows the identity headers it received\n\
         {curl} --header \"Authorization: Bearer $TOKEN\" {base}/orders/1\n\
         \n# the reader has no access to the admin route: 403\n\
         READER=$({} | {token})\n\
         {curl} {status} --header \"Authorization: Bearer $READER\" {base}/admin/1\n\
         \n# log out: 204; the same token is rejected at once: 401\n\
         {curl} {status} --request POST --header \"Authorization: Bearer $TOKEN\" {base}/auth/logout\n\
         {curl} {status} --header \"Authorization: Bearer $TOKEN\" {base}/orders/1\n\n",
        login("admin"),
        login("reader"),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use guarita_core::Secret;

    #[test]
    fn passwords_are_told_only_when_they_were_just_made() {
        let made = [CreatedAccount { username: "admin", password: Secret::new("first-time") }];
        assert!(text(Path::new("data"), 8443, &made).contains("first-time"));
        let again = text(Path::new("data"), 8443, &[]);
        assert!(again.contains("$ADMIN_PASSWORD"));
        assert!(again.contains("set-password"));
    }
}
