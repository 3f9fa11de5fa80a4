//! TOTP codes (RFC 6238) as all authenticator apps support them: SHA-1, six digits, steps of 30 s.

use std::fmt;

use qrcode::QrCode;
use qrcode::render::svg;
use totp_rs::{Algorithm, TOTP};

use guarita_core::{Secret, Timestamp};

/// Length of a secret, in bytes: 160 bits (RFC 4226 section 4).
pub const SECRET_LENGTH: usize = 20;
/// Duration of a step, in seconds.
const STEP: u64 = 30;
const DIGITS: usize = 6;

/// The data for an authenticator app, shown once.
pub struct Enrolment {
    /// The secret in base32.
    pub secret: Secret,
    /// `otpauth://totp/…`
    pub uri: Secret,
    /// The URI as a QR code.
    pub qr_svg: Secret,
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Enrolment([secret])")
    }
}

/// The data for an authenticator app; [`None`] if the names are too long for a QR code.
pub fn enrolment(secret: &[u8], issuer: &str, account: &str) -> Option<Enrolment> {
    // A colon separates the two in the label.
    let (issuer, account) = (issuer.replace(':', " "), account.replace(':', " "));
    let totp =
        TOTP::new(Algorithm::SHA1, DIGITS, 1, STEP, secret.to_vec(), Some(issuer), account).ok()?;
    let uri = totp.get_url();
    let qr_svg =
        QrCode::new(&uri).ok()?.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
    Some(Enrolment {
        secret: Secret::new(totp.get_secret_base32()),
        uri: Secret::new(uri),
        qr_svg: Secret::new(qr_svg),
    })
}

/// The step of a code: the latest match among the current, the previous and the next step.
pub fn matching_step(secret: &[u8], code: &str, now: Timestamp) -> Option<i64> {
    if code.len() != DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let totp =
        TOTP::new_unchecked(Algorithm::SHA1, DIGITS, 0, STEP, secret.to_vec(), None, String::new());
    let step = u64::try_from(now.seconds()).ok()? / STEP;
    let mut found = None;
    for candidate in step.saturating_sub(1)..=step + 1 {
        if Secret::new(totp.generate(candidate * STEP)).matches(code) {
            found = i64::try_from(candidate).ok();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8; 20] = b"12345678901234567890";

    #[test]
    fn totp_004_only_the_steps_beside_now_count() {
        // RFC 6238 appendix B, the last six digits of 94287082 at 59 s.
        for (now, step) in
            [(59, Some(1)), (29, Some(1)), (0, Some(1)), (89, Some(1)), (90, None), (150, None)]
        {
            let found = matching_step(SECRET, "287082", Timestamp::from_seconds(now));
            assert_eq!(found, step, "{now}");
        }
        for code in ["", "28708", "2870822", "28708a", " 87082", "２８７０８２"] {
            assert_eq!(matching_step(SECRET, code, Timestamp::from_seconds(59)), None, "{code}");
        }
    }

    #[test]
    fn totp_011_an_enrolment_has_160_bits_and_its_own_picture() {
        let enrolment = enrolment(SECRET, "ms:auth", "al:ice").unwrap();
        assert_eq!(enrolment.secret.expose().len(), 32);
        assert!(enrolment.uri.expose().starts_with("otpauth://totp/"));
        assert!(enrolment.qr_svg.expose().contains("<svg"));
        assert!(!format!("{enrolment:?}").contains(enrolment.secret.expose()));
    }
}
