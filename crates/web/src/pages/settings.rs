//! The settings of pages.

use std::fmt;
use std::str::FromStr;

/// `[pages]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSettings {
    /// The name at the top of each page; 1 to 64 bytes, default `Guarita`.
    pub name: Box<str>,
    /// The logo next to the name.
    pub logo: Option<Logo>,
    /// The colour of buttons and links in light mode.
    pub accent: Colour,
    /// The same in dark mode.
    pub accent_dark: Colour,
}

impl Default for PageSettings {
    fn default() -> Self {
        Self {
            name: "Guarita".into(),
            logo: None,
            accent: Colour { red: 0x1b, green: 0x5e, blue: 0x8c },
            accent_dark: Colour { red: 0x8c, green: 0xc4, blue: 0xea },
        }
    }
}

/// An image, at most 256 KiB.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    /// Its bytes.
    pub bytes: bytes::Bytes,
    /// Its media type.
    pub media_type: &'static str,
}

impl Logo {
    /// Maximum size, in bytes.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// Detects the type by the first bytes: PNG, JPEG, WebP or SVG.
    pub fn read(bytes: Vec<u8>) -> Option<Self> {
        let media_type = match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
            text if text.trim_ascii_start().starts_with(b"<") => "image/svg+xml",
            _ => return None,
        };
        (bytes.len() <= Self::MAX_BYTES).then(|| Self { bytes: bytes.into(), media_type })
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Logo({}, {} bytes)", self.media_type, self.bytes.len())
    }
}

/// An sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    red: u8,
    green: u8,
    blue: u8,
}

impl Colour {
    /// Black or white, whichever has more contrast (WCAG 2.2, relative luminance).
    pub fn ink(self) -> &'static str {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let luminance =
            0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue);
        // Where the contrasts with black and with white are equal.
        if luminance > 0.179 { "#000000" } else { "#ffffff" }
    }
}

/// `#rrggbb`
impl fmt::Display for Colour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// Not `#rrggbb`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a colour, for example \"#1b5e8c\"")]
pub struct InvalidColour;

impl FromStr for Colour {
    type Err = InvalidColour;

    fn from_str(text: &str) -> Result<Self, InvalidColour> {
        let digits = text.strip_prefix('#').ok_or(InvalidColour)?;
        if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(InvalidColour);
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| InvalidColour)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self { red, green, blue })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_read_and_written_and_knows_its_ink() {
        for (text, ink) in [("#000000", "#ffffff"), ("#ffffff", "#000000"), ("#1b5e8c", "#ffffff")]
        {
            let colour: Colour = text.parse().unwrap();
            assert_eq!((colour.to_string().as_str(), colour.ink()), (text, ink));
        }
        for text in ["", "#fff", "1b5e8c", "#1b5e8g", "#+b5e8c", "red", "#1b5e8c;"] {
            assert_eq!(text.parse::<Colour>(), Err(InvalidColour), "{text}");
        }
    }

    #[test]
    fn a_logo_is_a_picture_of_a_known_kind_and_size() {
        let kind = |bytes: &[u8]| Logo::read(bytes.to_vec()).map(|logo| logo.media_type);
        assert_eq!(kind(b"\x89PNG\r\n"), Some("image/png"));
        assert_eq!(kind(b"\n<svg/>"), Some("image/svg+xml"));
        assert_eq!(kind(b"GIF89a"), None);
        assert_eq!(kind(b""), None);
        assert_eq!(kind(&[b'<'; Logo::MAX_BYTES + 1]), None);
    }
}
