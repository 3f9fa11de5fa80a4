//! The common layout and security headers of all pages.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};

use super::super::cookie::{self, Cookie};
use super::super::csrf::Seed;
use super::super::error::Rejection;
use super::super::request_info::RequestInfo;
use super::form::{Form, FormFields, Stale};
use super::settings::PageSettings;
use super::texts::{Words, own_name};
use guarita_auth::access::csrf::Bound;
use guarita_core::http::{ReturnTo, cookies};
use guarita_core::random::RandomFault;
use guarita_core::{Code, Language, Timestamp};

/// Content-Security-Policy: no scripts, no external resources, no framing.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// How long a chosen language is kept.
const LANGUAGE_LIFETIME: std::time::Duration = std::time::Duration::from_secs(365 * 86_400);

/// A language, and the link to this page in it.
pub(super) struct LanguageLink {
    pub(super) tag: &'static str,
    pub(super) name: &'static str,
    pub(super) target: String,
    pub(super) current: bool,
}

/// The common part of a page, in one language.
pub(super) struct Page {
    pub(super) words: &'static Words,
    pub(super) language: Language,
    pub(super) settings: Arc<PageSettings>,
    /// The CSRF token of the forms of this page.
    pub(super) csrf_token: String,
    pub(super) languages: Vec<LanguageLink>,
    /// Where to redirect after signing in.
    pub(super) return_to: Option<ReturnTo>,
    /// The error message.
    pub(super) alert: Option<&'static str>,
    seed: Seed,
    choice: Option<Language>,
}

/// The request of a page.
struct PageRequest<'a> {
    headers: &'a HeaderMap,
    path: &'static str,
    /// The query of a GET, or the form of a POST.
    fields: &'a FormFields,
    bound: Bound,
}

/// Creates pages with the same settings and the same CSRF binding.
#[derive(Clone)]
pub(super) struct Pages {
    settings: Arc<PageSettings>,
    bound: Bound,
}

impl Pages {
    pub(super) const fn new(settings: Arc<PageSettings>, bound: Bound) -> Self {
        Self { settings, bound }
    }

    /// A page at this path, with the fields of its query or form.
    pub(super) fn page(
        &self,
        arrival: &RequestInfo,
        headers: &HeaderMap,
        path: &'static str,
        fields: &FormFields,
    ) -> Result<Page, Rejection> {
        let visit = PageRequest { headers, path, fields, bound: self.bound };
        Page::new(&self.settings, &visit).map_err(|_| arrival.refuse(Code::Internal))
    }

    /// The page of a GET, with the fields of its query.
    pub(super) fn visited(
        &self,
        arrival: &RequestInfo,
        headers: &HeaderMap,
        path: &'static str,
        uri: &Uri,
    ) -> Result<(Page, FormFields), Rejection> {
        let fields = FormFields::of_query(uri).map_err(|_| arrival.refuse(Code::BadRequest))?;
        Ok((self.page(arrival, headers, path, &fields)?, fields))
    }

    /// The page of a POST, with the fields of its form. If the CSRF token is invalid (a form of another site, or
    /// an expired page), there are no fields, and the page tells so.
    pub(super) fn submitted(
        &self,
        arrival: &RequestInfo,
        headers: &HeaderMap,
        path: &'static str,
        form: Form,
    ) -> Result<(Page, Option<FormFields>), Rejection> {
        match form.open(headers, self.bound) {
            Ok(fields) => Ok((self.page(arrival, headers, path, &fields)?, Some(fields))),
            Err(Stale) => {
                let page = self.page(arrival, headers, path, &FormFields::default())?;
                let alert = page.words.stale;
                Ok((page.alerting(alert), None))
            }
        }
    }
}

impl Page {
    /// In the language chosen by this request, else the one chosen before, else the browser's.
    fn new(settings: &Arc<PageSettings>, visit: &PageRequest<'_>) -> Result<Self, RandomFault> {
        let choice = Language::parse(visit.fields.text("lang"));
        let before = cookies::read(visit.headers, cookies::LANGUAGE).value();
        let accepted = visit.headers.get(header::ACCEPT_LANGUAGE);
        let accepted = accepted.and_then(|field| field.to_str().ok()).unwrap_or_default();
        let language = choice
            .or_else(|| before.and_then(Language::parse))
            .unwrap_or_else(|| Language::negotiate(accepted));
        let seed = Seed::of(visit.headers)?;
        Ok(Self {
            words: Words::of(language),
            language,
            settings: Arc::clone(settings),
            csrf_token: seed.token(visit.headers, visit.bound).expose().to_owned(),
            languages: Language::ALL.map(|other| link(visit, other, language)).into(),
            return_to: ReturnTo::parse(visit.fields.text("return_to")),
            alert: None,
            seed,
            choice,
        })
    }

    /// Sets the error message.
    pub(super) fn alerting(mut self, alert: &'static str) -> Self {
        self.alert = Some(alert);
        self
    }

    /// Sets the error message of a rejection.
    pub(super) fn telling(self, refused: &Rejection) -> Self {
        let alert = self.words.refusal(refused.code());
        self.alerting(alert)
    }

    /// `?return_to=…`, if there is a target to return to.
    pub(super) fn return_to_query(&self) -> String {
        let way = self.return_to.as_ref().map(|way| format!("?return_to={}", way.encoded()));
        way.unwrap_or_default()
    }

    /// The response. A template that cannot be rendered is an internal error.
    pub(super) fn render(&self, status: StatusCode, template: &impl Template) -> Response {
        let Ok(html) = template.render() else {
            tracing::error!("rendering a page failed");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let mut response = (status, html).into_response();
        let fields = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_LANGUAGE, self.language.tag()),
        ] {
            fields.insert(name, HeaderValue::from_static(value));
        }
        self.keep(&mut response);
        response
    }

    /// Redirects the browser with 303 (RFC 9110 section 15.4.4).
    pub(super) fn redirect(&self, target: &str) -> Response {
        let Ok(target) = HeaderValue::from_str(target) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let no_store = HeaderValue::from_static("no-store");
        let fields = [(header::LOCATION, target), (header::CACHE_CONTROL, no_store)];
        let mut response = (StatusCode::SEE_OTHER, fields).into_response();
        self.keep(&mut response);
        response
    }

    /// Sets the cookies of this visit.
    fn keep(&self, response: &mut Response) {
        self.seed.keep(response);
        let Some(language) = self.choice else { return };
        let lifetime = Some(LANGUAGE_LIFETIME);
        let cookie = Cookie { lifetime, ..Cookie::new(cookies::LANGUAGE) };
        cookie::set(response, cookie.field(language.tag()));
    }
}

/// A readable date and time, in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    let text = at.rfc3339();
    let minutes = text.get(..16).unwrap_or_default();
    format!("{} UTC", minutes.replace('T', " "))
}

/// The link to the same page in another language, with the other query fields.
fn link(visit: &PageRequest<'_>, language: Language, current: Language) -> LanguageLink {
    let mut target = format!("{}?lang={}", visit.path, language.tag());
    for name in ["return_to", "token"] {
        let value = visit.fields.text(name);
        if let Ok(pair) = serde_urlencoded::to_string([(name, value)])
            && !value.is_empty()
        {
            target.push('&');
            target.push_str(&pair);
        }
    }
    let current = language == current;
    LanguageLink { tag: language.tag(), name: own_name(language), target, current }
}
