//! The CPF, a natural person's number in Brazil's tax register (Cadastro de Pessoas Físicas).

use std::fmt;

use zeroize::Zeroizing;

/// Longest accepted text, in bytes: `000.000.000-00`.
const MAX_LENGTH: usize = 14;

/// Not eleven digits, all digits equal, or wrong check digits. Never contains the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CPF is invalid")]
pub struct InvalidCpf;

/// Eleven digits with valid check digits. It is printed masked; its memory is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Cpf(Zeroizing<String>);

impl Cpf {
    /// Parses `00000000000` or `000.000.000-00`, and no mixture of the two.
    pub fn parse(text: &str) -> Result<Self, InvalidCpf> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidCpf);
        }
        let plain = text.len() == 11;
        let mut digits = Zeroizing::new(String::with_capacity(11));
        for (position, letter) in text.chars().enumerate() {
            match (position, letter) {
                (3 | 7, '.') | (11, '-') if !plain => {}
                (3 | 7 | 11, _) if !plain => return Err(InvalidCpf),
                (_, '0'..='9') => digits.push(letter),
                _ => return Err(InvalidCpf),
            }
        }
        if digits.len() == 11 && is_sound(&digits) { Ok(Self(digits)) } else { Err(InvalidCpf) }
    }

    /// The eleven digits, for the database and for their owner.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Whether the digits are not all equal and the last two are the check digits (modulo 11).
fn is_sound(digits: &str) -> bool {
    let values: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(10)).collect();
    let first = values.first();
    if values.iter().all(|value| Some(value) == first) {
        return false;
    }
    [9, 10].into_iter().all(|length| values.get(length).copied() == Some(check(&values, length)))
}

/// The check digit of the first `length` digits: weights from `length + 1` down to 2.
fn check(values: &[u32], length: usize) -> u32 {
    let sum: u32 =
        values.iter().take(length).zip((2..=11).rev().skip(10 - length)).map(|(v, w)| v * w).sum();
    match sum % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    }
}

/// Prints the check digits only.
impl fmt::Display for Cpf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "***.***.***-{}", self.0.get(9..).unwrap_or("**"))
    }
}

impl fmt::Debug for Cpf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_numbers_are_told_apart_from_mistyped_ones() {
        for text in ["529.982.247-25", "52998224725", "111.444.777-35", "00000000191"] {
            assert!(Cpf::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "529.982.247-26",
            "529.982.247-15",
            "5299822472",
            "529982247255",
            "529982247-25",
            "529.98224725",
            "529 982 247 25",
            " 52998224725",
            "５２９９８２２４７２５",
            "529.982.247-2５",
            "529982247\u{0}25",
            "...........",
            "1",
            "529.982.247.25",
        ] {
            assert_eq!(Cpf::parse(text), Err(InvalidCpf), "{text:?}");
        }
    }

    #[test]
    fn ten_repeated_digits_pass_the_sums_and_are_refused() {
        for digit in 0..=9 {
            assert_eq!(Cpf::parse(&digit.to_string().repeat(11)), Err(InvalidCpf), "{digit}");
        }
    }

    proptest! {
        #[test]
        fn of_all_check_digits_exactly_one_pair_is_sound(body in "[0-9]{9}") {
            let sound: Vec<_> =
                (0..100).filter_map(|check| Cpf::parse(&format!("{body}{check:02}")).ok()).collect();
            let alike = body.chars().all(|digit| body.starts_with(digit));
            prop_assert_eq!(sound.len(), usize::from(!alike));
        }

        #[test]
        fn both_spellings_are_one_number_and_neither_is_printed(body in "[0-9]{9}") {
            let sound = (0..100).find_map(|check| Cpf::parse(&format!("{body}{check:02}")).ok());
            let Some(cpf) = sound else { return Ok(()) };
            let digits = cpf.expose();
            let written = format!("{}.{}.{}-{}", &digits[..3], &digits[3..6], &digits[6..9], &digits[9..]);
            prop_assert_eq!(Cpf::parse(&written).unwrap(), cpf.clone());
            for printed in [format!("{cpf}"), format!("{cpf:?}"), format!("{:#?}", Some(&cpf))] {
                prop_assert!(!printed.contains(&digits[..4]), "{}", printed);
            }
        }

        #[test]
        fn any_text_is_refused_or_eleven_digits(text in "\\PC*") {
            if let Ok(cpf) = Cpf::parse(&text) {
                prop_assert_eq!(cpf.expose().len(), 11);
            }
        }
    }
}
