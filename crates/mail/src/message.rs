//! The content of mails: plain text and HTML, from templates that escape their values.
//!
//! A mail contains no user input, only values set by the operator: no name, no address, no text from a request.
//! So nothing can be injected.

use std::time::Duration;

use askama::Template;

use super::texts::{phrases, words};
use guarita_core::{Language, Secret};

/// A notice about a change of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityNotice {
    /// The password was changed.
    PasswordChanged,
    /// A second factor was activated.
    FactorAdded,
    /// A second factor was removed.
    FactorRemoved,
}

/// The kind of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTemplate {
    /// A link to set a new password.
    Reset,
    /// A link to verify the address.
    Verification,
    /// A notice without a link.
    Notice(SecurityNotice),
    /// A test mail for an operator.
    Test,
}

impl MailTemplate {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Reset,
        Self::Verification,
        Self::Notice(SecurityNotice::PasswordChanged),
        Self::Notice(SecurityNotice::FactorAdded),
        Self::Notice(SecurityNotice::FactorRemoved),
        Self::Test,
    ];

    /// The name in the outbox and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Verification => "verification",
            Self::Notice(SecurityNotice::PasswordChanged) => "password_changed",
            Self::Notice(SecurityNotice::FactorAdded) => "factor_added",
            Self::Notice(SecurityNotice::FactorRemoved) => "factor_removed",
            Self::Test => "test",
        }
    }

    /// Parses the name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|letter| letter.as_str() == name)
    }
}

/// A mail without addresses. Its texts may contain the secret of a link.
#[derive(Clone, Debug)]
pub struct MailMessage {
    /// The subject, fixed per kind and language.
    pub subject: &'static str,
    /// The plain text part.
    pub text: Secret,
    /// The HTML part.
    pub html: Secret,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    page: &'a MailBody<'a>,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    page: &'a MailBody<'a>,
}

struct MailBody<'a> {
    language: &'static str,
    subject: &'static str,
    lead: String,
    action: &'static str,
    link: &'a str,
    validity: String,
    by_hand: &'static str,
    closing: &'static str,
    automatic: &'static str,
}

/// Renders a mail; `link` with its lifetime. Fails only if a template fails, which is an internal error.
pub fn render(
    letter: MailTemplate,
    language: Language,
    site: &str,
    link: Option<(&Secret, Duration)>,
) -> Result<MailMessage, askama::Error> {
    let (words, phrases) = (words(letter, language), phrases(language));
    let validity = link.map(|(_, life)| {
        let minutes = life.as_secs().div_ceil(60).max(1);
        let unit = if minutes == 1 { phrases.minute } else { phrases.minutes };
        format!("{} {minutes} {unit}.", phrases.validity)
    });
    let page = MailBody {
        language: language.tag(),
        subject: words.subject,
        lead: words.lead.replace("{site}", site),
        action: words.action,
        link: link.map(|(link, _)| link.expose()).unwrap_or_default(),
        validity: validity.unwrap_or_default(),
        by_hand: phrases.by_hand,
        closing: words.closing,
        automatic: phrases.automatic,
    };
    Ok(MailMessage {
        subject: words.subject,
        text: Secret::new(Text { page: &page }.render()?),
        html: Secret::new(Html { page: &page }.render()?),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const LINK: &str = "https://app.test/reset?lang=pt&token=id.secret";

    #[test]
    fn every_letter_speaks_every_language_and_says_all_it_has_to() {
        let link = Secret::new(LINK);
        let mut subjects = HashSet::new();
        for letter in MailTemplate::ALL {
            assert_eq!(MailTemplate::parse(letter.as_str()), Some(letter));
            let linked = matches!(letter, MailTemplate::Reset | MailTemplate::Verification);
            let life = Duration::from_secs(1_800);
            for language in Language::ALL {
                let link = linked.then_some((&link, life));
                let message = render(letter, language, "Acme", link).unwrap();
                assert!(subjects.insert(message.subject), "{}", message.subject);
                assert!(!message.subject.is_empty());
                let (text, html) = (message.text.expose(), message.html.expose());
                assert!(text.contains("Acme") && html.contains("Acme"), "{text}");
                assert!(!text.contains(['{', '}']) && !html.contains("{site}"), "{text}");
                assert_eq!(text.contains(LINK), linked);
                assert_eq!(text.contains(" 30 "), linked);
                assert_eq!(html.contains("href=\"https://app.test/reset?lang=pt&#38;"), linked);
                assert!(html.contains(&format!("lang=\"{}\"", language.tag())));
            }
        }
        assert_eq!(MailTemplate::parse("other"), None);
    }

    #[test]
    fn the_name_of_the_service_is_text_and_nothing_else() {
        let hostile = "<b>{{7*7}}</b>\"";
        let message = render(MailTemplate::Test, Language::En, hostile, None).unwrap();
        assert!(message.text.expose().contains(hostile));
        let html = message.html.expose();
        assert!(!html.contains("<b>") && html.contains("&#60;b&#62;{{7*7}}"), "{html}");
    }

    #[test]
    fn a_minute_is_one_minute() {
        let link = Secret::new(LINK);
        for (seconds, said) in [(1, "1 minute."), (60, "1 minute."), (61, "2 minutes.")] {
            let life = Duration::from_secs(seconds);
            let message =
                render(MailTemplate::Reset, Language::En, "x", Some((&link, life))).unwrap();
            assert!(message.text.expose().contains(said), "{seconds}");
        }
    }
}
