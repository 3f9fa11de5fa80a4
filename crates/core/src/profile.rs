//! The profile of an account's user.

use std::fmt;

use uuid::Uuid;

use super::Cpf;

/// Longest full name, in characters.
const MAX_NAME: usize = 200;

/// An invalid field of a profile. Never contains its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProfile {
    /// `nome_completo`
    #[error(
        "a full name must have 1 to 200 characters, no control characters and no space at either end"
    )]
    Name,
    /// `oab`
    #[error("an OAB number must have 1 to 7 digits, optionally followed by one letter")]
    Oab,
    /// `uf_oab`
    #[error("the state must be one of the 27 federative units of Brazil")]
    State,
    /// Only one of `oab` and `uf_oab`.
    #[error("an OAB number and its state must be set together")]
    HalfAnOab,
    /// `auth_user_id`
    #[error("the id at the provider is not a UUID")]
    AuthUser,
}

/// A full name. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct FullName(String);

impl FullName {
    /// Checks the bounds: 1 to 200 characters, none of them a control or a line end.
    pub fn parse(text: &str) -> Result<Self, InvalidProfile> {
        let fits = text.len() <= MAX_NAME * 4 && (1..=MAX_NAME).contains(&text.chars().count());
        let clean = !text.chars().any(|letter| letter.is_control() || is_invisible(letter));
        let sound = fits && clean && text.trim() == text;
        if sound { Ok(Self(text.to_owned())) } else { Err(InvalidProfile::Name) }
    }

    /// The name.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Line separators and characters that change the direction of text.
const fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Debug for FullName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[name]")
    }
}

/// A state of Brazil, or its federal district, by its two letters (IBGE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrazilianState(&'static str);

impl BrazilianState {
    /// All 27.
    pub const ALL: [&'static str; 27] = [
        "AC", "AL", "AM", "AP", "BA", "CE", "DF", "ES", "GO", "MA", "MG", "MS", "MT", "PA", "PB",
        "PE", "PI", "PR", "RJ", "RN", "RO", "RR", "RS", "SC", "SE", "SP", "TO",
    ];

    /// Parses the two letters in any case.
    pub fn parse(text: &str) -> Result<Self, InvalidProfile> {
        let known = Self::ALL.into_iter().find(|known| known.eq_ignore_ascii_case(text));
        known.map(Self).ok_or(InvalidProfile::State)
    }

    /// The two letters in upper case.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// A lawyer's registration number at the bar of one state (Ordem dos Advogados do Brasil).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oab {
    number: String,
    state: BrazilianState,
}

impl Oab {
    /// Parses number and state; both or neither.
    pub fn parse(
        number: Option<&str>,
        state: Option<&str>,
    ) -> Result<Option<Self>, InvalidProfile> {
        match (number, state) {
            (None, None) => Ok(None),
            (Some(number), Some(state)) => {
                let number = number.to_ascii_uppercase();
                let digits = number.strip_suffix(|letter: char| letter.is_ascii_uppercase());
                let digits = digits.unwrap_or(&number);
                let sound = (1..=7).contains(&digits.len())
                    && digits.bytes().all(|byte| byte.is_ascii_digit());
                if !sound {
                    return Err(InvalidProfile::Oab);
                }
                Ok(Some(Self { state: BrazilianState::parse(state)?, number }))
            }
            (Some(_), None) | (None, Some(_)) => Err(InvalidProfile::HalfAnOab),
        }
    }

    /// The number, as `123456` or `123456A`.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The state.
    pub const fn state(&self) -> BrazilianState {
        self.state
    }
}

/// The profile of an account. The fields `email_corporativo` and `ativo` belong to the account itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// `nome_completo`
    pub full_name: Option<FullName>,
    /// `cpf`, unique.
    pub cpf: Option<Cpf>,
    /// `oab` and `uf_oab`
    pub oab: Option<Oab>,
    /// `auth_user_id`, unique: the user's id at a provider.
    pub auth_user: Option<Uuid>,
}

impl Profile {
    /// Parses an id at a provider: a hyphenated UUID.
    pub fn parse_auth_user(text: &str) -> Result<Uuid, InvalidProfile> {
        let parsed = (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten();
        parsed.ok_or(InvalidProfile::AuthUser)
    }

    /// Whether no field is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_bounded_clean_and_not_printed() {
        assert!(FullName::parse(&"ã".repeat(200)).is_ok());
        for text in ["", " Ana", "Ana\n", "A\u{202e}na", "A\u{0}", &"ã".repeat(201)] {
            assert_eq!(FullName::parse(text), Err(InvalidProfile::Name), "{text:?}");
        }
        assert_eq!(format!("{:?}", FullName::parse("Ana Souza").unwrap()), "[name]");
    }

    #[test]
    fn the_bar_has_27_states_and_a_number_of_at_most_seven_digits() {
        for state in BrazilianState::ALL {
            let oab = Oab::parse(Some("123456a"), Some(&state.to_lowercase())).unwrap().unwrap();
            assert_eq!((oab.number(), oab.state().as_str()), ("123456A", state));
        }
        for (number, state, invalid) in [
            ("", "SP", InvalidProfile::Oab),
            ("A", "SP", InvalidProfile::Oab),
            ("12345678", "SP", InvalidProfile::Oab),
            ("12AB", "SP", InvalidProfile::Oab),
            ("1é", "SP", InvalidProfile::Oab),
            ("1", "XX", InvalidProfile::State),
            ("1", "", InvalidProfile::State),
            ("1", "São Paulo", InvalidProfile::State),
        ] {
            assert_eq!(Oab::parse(Some(number), Some(state)), Err(invalid), "{number} {state}");
        }
        assert_eq!(Oab::parse(None, None), Ok(None));
        assert_eq!(Oab::parse(Some("1"), None), Err(InvalidProfile::HalfAnOab));
        assert_eq!(Oab::parse(None, Some("SP")), Err(InvalidProfile::HalfAnOab));
    }

    #[test]
    fn an_id_at_a_provider_is_a_hyphenated_uuid() {
        let text = "01932c07-7f0c-7d5e-8a00-0123456789ab";
        assert!(Profile::parse_auth_user(text).is_ok());
        for text in ["", "1", &text.replace('-', ""), &format!("{{{text}}}")] {
            assert_eq!(Profile::parse_auth_user(text), Err(InvalidProfile::AuthUser));
        }
    }
}
