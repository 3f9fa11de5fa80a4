//! Masking of personal data in logs and audit files.

use std::fmt;

use guarita_core::{Cpf, UserId};

/// Masks a user id except for the last two digits.
#[derive(Clone, Copy, Debug)]
pub struct MaskedUser(pub UserId);

impl fmt::Display for MaskedUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "***{:02}", self.0.get().rem_euclid(100))
    }
}

/// Masks a subject that is an e-mail address or a CPF, as [`guarita_core::EmailAddress`] and [`Cpf`] print
/// themselves.
#[derive(Clone, Copy, Debug)]
pub struct MaskedSubject<'a>(pub &'a str);

impl fmt::Display for MaskedSubject<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.rsplit_once('@'), Cpf::parse(self.0)) {
            (Some((local, domain)), _) => {
                let first = local.chars().next().filter(|_| local.chars().count() > 1);
                write!(formatter, "{}***@{domain}", first.map(String::from).unwrap_or_default())
            }
            (None, Ok(cpf)) => cpf.fmt(formatter),
            (None, Err(_)) => formatter.write_str(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_that_says_more_than_a_name_is_shown_in_part() {
        for (subject, shown) in [
            ("alice", "alice"),
            ("joao@firma.test", "j***@firma.test"),
            ("joão@firma.test", "j***@firma.test"),
            ("j@firma.test", "***@firma.test"),
            ("a@b@firma.test", "a***@firma.test"),
            ("529.982.247-25", "***.***.***-25"),
            ("52998224725", "***.***.***-25"),
            ("52998224726", "52998224726"),
        ] {
            assert_eq!(MaskedSubject(subject).to_string(), shown);
        }
    }

    #[test]
    fn a_whole_user_id_is_never_shown() {
        assert_eq!(MaskedUser(UserId::new(7)).to_string(), "***07");
        assert_eq!(MaskedUser(UserId::new(123_456)).to_string(), "***56");
    }
}
