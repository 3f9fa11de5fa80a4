//! The languages of pages and mails.

/// A language of pages and mails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// Brazilian Portuguese.
    PtBr,
    /// Spanish.
    Es,
    /// English, the default.
    #[default]
    En,
}

/// Maximum number of ranges of `Accept-Language` that are considered.
const MAX_RANGES: usize = 16;

impl Language {
    /// All languages, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::PtBr, Self::Es, Self::En];

    /// The tag of RFC 5646.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::PtBr => "pt-BR",
            Self::Es => "es",
            Self::En => "en",
        }
    }

    /// Parses a tag, ignoring region and case: `pt-PT` and `PT` are Portuguese.
    pub fn parse(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| {
            let known = language.tag().split('-').next().unwrap_or_default();
            known.eq_ignore_ascii_case(primary)
        })
    }

    /// The supported language that the client prefers (`Accept-Language`, RFC 9110 section 12.5.4).
    pub fn negotiate(accepted: &str) -> Self {
        let mut best = (0, Self::default());
        for range in accepted.split(',').take(MAX_RANGES) {
            let (tag, parameter) = range.split_once(';').unwrap_or((range, ""));
            let Some(language) = Self::parse(tag.trim()) else { continue };
            let weight = weight(parameter);
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// `q` in thousandths; an invalid value is 0.
fn weight(parameter: &str) -> u16 {
    let parameter = parameter.trim();
    if parameter.is_empty() {
        return 1_000;
    }
    let Some(value) = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q=")) else {
        return 0;
    };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return 0;
    }
    match (whole, format!("{fraction:0<3}").parse::<u16>()) {
        ("0", Ok(thousandths)) => thousandths,
        ("1", Ok(0)) => 1_000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Language::{self, En, Es, PtBr};

    #[test]
    fn the_caller_s_first_choice_of_ours_is_spoken() {
        for (accepted, spoken) in [
            ("", En),
            ("*", En),
            ("pt-BR,pt;q=0.9,en;q=0.8", PtBr),
            ("pt-PT", PtBr),
            ("de, es-MX;q=0.5, en;q=0.4", Es),
            ("en;q=0.1, ES;q=0.2", Es),
            ("es;q=0, en", En),
            ("es;q=0", En),
            ("es;q=2, pt", PtBr),
            ("es;q=0.1234, pt;q=0.001", PtBr),
            ("es;level=1, pt;q=0.5", PtBr),
            ("fr-FR,de;q=0.7", En),
            ("ptx, esp", En),
        ] {
            assert_eq!(Language::negotiate(accepted), spoken, "{accepted:?}");
        }
        let long = format!("{}es", "de,".repeat(16));
        assert_eq!(Language::negotiate(&long), En);
    }

    #[test]
    fn every_language_is_known_by_its_tag() {
        for language in Language::ALL {
            assert_eq!(Language::parse(language.tag()), Some(language));
        }
        assert_eq!(Language::parse(""), None);
        assert_eq!(Language::parse("xx"), None);
    }
}
