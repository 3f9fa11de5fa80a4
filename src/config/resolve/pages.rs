//! `[pages]`

use super::super::written::RawConfig;
use super::ConfigResolver;
use guarita_web::pages::{Colour, Logo, PageSettings};

/// Longest name, in bytes.
const MAX_NAME: usize = 64;

pub(super) fn resolve(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> PageSettings {
    let (of, default) = (&written.pages, PageSettings::default());
    let accent = colour("pages.accent", of.accent.as_deref(), default.accent, reader);
    let path = "pages.accent_dark";
    let accent_dark = colour(path, of.accent_dark.as_deref(), default.accent_dark, reader);
    PageSettings {
        name: reader.text("pages.name", of.name.as_ref(), &default.name, MAX_NAME),
        logo: of.logo.as_ref().and_then(|name| logo(name, reader)),
        accent,
        accent_dark,
    }
}

fn colour(
    path: &str,
    text: Option<&str>,
    default: Colour,
    reader: &mut ConfigResolver<'_>,
) -> Colour {
    match text.map(str::parse) {
        None => default,
        Some(Ok(colour)) => colour,
        Some(Err(invalid)) => {
            reader.report.problem(path, invalid);
            default
        }
    }
}

fn logo(name: &str, reader: &mut ConfigResolver<'_>) -> Option<Logo> {
    let logo = Logo::read(reader.file("pages.logo", name)?);
    if logo.is_none() {
        let what = "is not an image of at most 256 KiB";
        reader.report.problem_with_hint("pages.logo", what, "PNG, JPEG, WebP or SVG");
    }
    logo
}
