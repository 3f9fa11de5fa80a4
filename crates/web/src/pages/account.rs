//! `/account`: profile, second factor, sessions. All changes are one form with an `action`.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

use super::super::cookie::{self, Cookie};
use super::super::error::Rejection;
use super::super::oidc::{self, LogoutTarget};
use super::super::request_info::RequestInfo;
use super::super::{mfa, password, sessions};
use super::device;
use super::form::{Form, FormFields};
use super::links::MessagePage;
use super::page::{Page, Pages, moment};
use super::sign_in::{answer, normalize_code};
use guarita_auth::account::{AccountOverview, Overviews};
use guarita_auth::login::Enrolment;
use guarita_auth::session::StoredSession;
use guarita_core::http::cookies;
use guarita_core::{Code, Secret, SessionId};

/// The state of the account page.
#[derive(Clone)]
pub(super) struct AccountPageState {
    pub(super) pages: Pages,
    pub(super) factor: mfa::MfaState,
    pub(super) sessions: sessions::SessionsState,
    pub(super) password: password::PasswordState,
    pub(super) overviews: Arc<Overviews>,
    pub(super) providers: oidc::OidcState,
}

pub(super) fn routes(desk: AccountPageState) -> Router {
    Router::new().route("/account", get(show).post(change)).with_state(desk)
}

#[derive(Template)]
#[template(path = "pages/account.html")]
struct AccountPage<'a> {
    page: &'a Page,
    done: Option<&'static str>,
    /// A second factor must be enrolled before anything else.
    demanded: bool,
    account: Option<Shown>,
    factor: Factor,
    sessions: Vec<SessionRow>,
}

/// The profile.
struct Shown {
    username: String,
    email: Option<String>,
    full_name: Option<String>,
    roles: String,
}

/// The state of the second factor.
enum Factor {
    On {
        codes_left: i64,
    },
    Off {
        password: bool,
    },
    /// It is active and required, but was not verified in this session.
    Unproven,
    Unavailable,
}

/// One session.
struct SessionRow {
    id: String,
    device: String,
    address: String,
    last_used: String,
    current: bool,
}

#[derive(Template)]
#[template(path = "pages/enrol.html")]
struct EnrolmentPage<'a> {
    page: &'a Page,
    picture: Option<Picture<'a>>,
}

struct Picture<'a> {
    svg: &'a str,
    secret: &'a str,
}

#[derive(Template)]
#[template(path = "pages/codes.html")]
struct Codes<'a> {
    page: &'a Page,
    codes: Vec<&'a str>,
    target: &'a str,
}

/// Additional content of the page.
#[derive(Default)]
struct AccountNotices {
    done: Option<&'static str>,
    alert: Option<(&'static str, StatusCode)>,
    password: bool,
}

async fn show(
    State(desk): State<AccountPageState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Rejection> {
    let (page, _) = desk.pages.visited(&arrival, &headers, "/account", &uri)?;
    desk.account(&arrival, page, AccountNotices::default()).await
}

async fn change(
    State(desk): State<AccountPageState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Rejection> {
    let (page, fields) = desk.pages.submitted(&arrival, &headers, "/account", form)?;
    let Some(fields) = fields else {
        let alert = Some((page.words.stale, StatusCode::FORBIDDEN));
        return desk
            .account(&arrival, page, AccountNotices { alert, ..AccountNotices::default() })
            .await;
    };
    match fields.text("action") {
        "enrol" => desk.enrol(&arrival, page, &fields).await,
        "confirm" => desk.confirm(&arrival, page, &fields).await,
        "disable" => desk.disable(&arrival, page, &fields).await,
        "password" => desk.change_password(&arrival, page, &fields).await,
        "end" => desk.end(&arrival, page, fields.text("sid")).await,
        "end_all" => desk.end_all(&arrival, page).await,
        "sign_out" => desk.sign_out(&arrival, page).await,
        _ => Err(arrival.refuse(Code::InvalidBody)),
    }
}

impl AccountPageState {
    /// The account, or a redirect to sign in.
    async fn account(
        &self,
        arrival: &RequestInfo,
        page: Page,
        told: AccountNotices,
    ) -> Result<Response, Rejection> {
        if arrival.unknowable {
            return Err(arrival.refuse(Code::Unavailable));
        }
        let Some(caller) = arrival.principal_or_pending() else {
            return Ok(page.redirect(SIGN_IN));
        };
        let Some(user) = caller.identity().user() else { return Ok(page.redirect(SIGN_IN)) };
        let found = self.overviews.find(user).await;
        let found = found.map_err(|fault| arrival.failed("reading an account failed", &fault))?;
        let Some(overview) = found else { return Ok(page.redirect(SIGN_IN)) };
        let demanded = arrival.principal.is_none();
        let sessions = if demanded { Vec::new() } else { self.rows(arrival, &page).await? };
        let factor = self.factor_of(&overview, told.password, demanded);
        let (page, status) = match told.alert {
            Some((alert, status)) => (page.alerting(alert), status),
            None => (page, StatusCode::OK),
        };
        let account = (!demanded).then(|| Shown::of(overview));
        let demanded = demanded && !matches!(factor, Factor::Unproven);
        let shown =
            AccountPage { page: &page, done: told.done, demanded, account, factor, sessions };
        Ok(page.render(status, &shown))
    }

    fn factor_of(&self, overview: &AccountOverview, password: bool, demanded: bool) -> Factor {
        match overview.recovery_codes {
            Some(_) if demanded => Factor::Unproven,
            Some(codes_left) => Factor::On { codes_left },
            None if self.factor.is_available() => Factor::Off { password },
            None => Factor::Unavailable,
        }
    }

    async fn rows(&self, arrival: &RequestInfo, page: &Page) -> Result<Vec<SessionRow>, Rejection> {
        let (found, current) = self.sessions.of_caller(arrival).await?;
        Ok(found.into_iter().map(|session| SessionRow::of(session, current, page)).collect())
    }

    async fn enrol(
        &self,
        arrival: &RequestInfo,
        page: Page,
        fields: &FormFields,
    ) -> Result<Response, Rejection> {
        let password = fields.secret("password");
        let given = (!password.expose().is_empty()).then_some(&password);
        match self.factor.begin(arrival, given).await {
            Ok(enrolment) => {
                let picture = Some(picture(&enrolment));
                Ok(page.render(StatusCode::OK, &EnrolmentPage { page: &page, picture }))
            }
            Err(refused) => {
                let asks = refused.code() == Code::ProofRequired;
                let again = asks || refused.code() == Code::InvalidCredentials;
                let alert = match refused.code() == Code::InvalidCredentials {
                    true => page.words.wrong_password,
                    false => page.words.refusal(refused.code()),
                };
                let alert = Some((alert, refused.status()));
                let told = AccountNotices { alert, password: again, ..AccountNotices::default() };
                self.account(arrival, page, told).await
            }
        }
    }

    async fn confirm(
        &self,
        arrival: &RequestInfo,
        page: Page,
        fields: &FormFields,
    ) -> Result<Response, Rejection> {
        match self.factor.confirm(arrival, &normalize_code(fields.text("code"))).await {
            Ok(codes) => {
                let codes = codes.iter().map(Secret::expose).collect();
                let target = page.return_to.as_ref().map_or("/account", |way| way.as_str());
                Ok(page.render(StatusCode::OK, &Codes { page: &page, codes, target }))
            }
            Err(refused) if refused.code() == Code::InvalidCode => {
                let page = page.telling(&refused);
                // The QR code is shown once; if the app does not have it, the user starts again.
                Ok(page.render(refused.status(), &EnrolmentPage { page: &page, picture: None }))
            }
            Err(refused) => self.failed(arrival, page, &refused).await,
        }
    }

    async fn disable(
        &self,
        arrival: &RequestInfo,
        page: Page,
        fields: &FormFields,
    ) -> Result<Response, Rejection> {
        match self.factor.disable(arrival, &answer(fields.text("code"))).await {
            Ok(()) => Ok(page.redirect("/account")),
            Err(refused) => self.failed(arrival, page, &refused).await,
        }
    }

    async fn change_password(
        &self,
        arrival: &RequestInfo,
        page: Page,
        fields: &FormFields,
    ) -> Result<Response, Rejection> {
        let (current, new) = (fields.secret("password"), fields.secret("new_password"));
        match self.password.change(arrival, &current, &new, page.language).await {
            Ok(()) => {
                let done = Some(page.words.password_changed);
                self.account(arrival, page, AccountNotices { done, ..AccountNotices::default() })
                    .await
            }
            Err(refused) if refused.code() == Code::InvalidCredentials => {
                let alert = Some((page.words.wrong_password, refused.status()));
                self.account(arrival, page, AccountNotices { alert, ..AccountNotices::default() })
                    .await
            }
            Err(refused) => self.failed(arrival, page, &refused).await,
        }
    }

    async fn end(
        &self,
        arrival: &RequestInfo,
        page: Page,
        sid: &str,
    ) -> Result<Response, Rejection> {
        self.sessions.end(arrival, sid).await?;
        Ok(page.redirect("/account"))
    }

    async fn end_all(&self, arrival: &RequestInfo, page: Page) -> Result<Response, Rejection> {
        self.sessions.end_all(arrival).await?;
        Ok(signed_out(&page))
    }

    async fn sign_out(&self, arrival: &RequestInfo, page: Page) -> Result<Response, Rejection> {
        if arrival.principal_or_pending().is_some() || arrival.unknowable {
            self.sessions.sign_out(arrival).await?;
        }
        let session = arrival.principal_or_pending().and_then(|caller| caller.identity().session());
        let way_out = match session {
            Some(session) => self.providers.provider_logout(arrival, session).await,
            None => None,
        };
        Ok(way_out.map_or_else(|| signed_out(&page), |way_out| leaving(&page, &way_out)))
    }

    async fn failed(
        &self,
        arrival: &RequestInfo,
        page: Page,
        refused: &Rejection,
    ) -> Result<Response, Rejection> {
        let alert = Some((page.words.refusal(refused.code()), refused.status()));
        let response = self
            .account(arrival, page, AccountNotices { alert, ..AccountNotices::default() })
            .await?;
        Ok(refused.decorate(response))
    }
}

const SIGN_IN: &str = "/login?return_to=/account";

fn signed_out(page: &Page) -> Response {
    let mut response = page.redirect("/login");
    cookie::set(&mut response, Cookie::new(cookies::SESSION).removal());
    response
}

/// The page after signing out here, with the link to sign out at the provider. It is a page, because the
/// Content-Security-Policy does not allow forms to redirect to another site.
fn leaving(page: &Page, way_out: &LogoutTarget) -> Response {
    let LogoutTarget { target, label } = way_out;
    let message = MessagePage {
        page,
        heading: page.words.sign_out,
        text: page.words.signed_out_here,
        target,
        label: &format!("{} {label}", page.words.go_on_with),
    };
    let mut response = page.render(StatusCode::OK, &message);
    if let Ok(refresh) = HeaderValue::try_from(format!("0; url={target}")) {
        response.headers_mut().insert(header::REFRESH, refresh);
    }
    cookie::set(&mut response, Cookie::new(cookies::SESSION).removal());
    response
}

fn picture(enrolment: &Enrolment) -> Picture<'_> {
    Picture { svg: enrolment.qr_svg.expose(), secret: enrolment.secret.expose() }
}

impl Shown {
    fn of(overview: AccountOverview) -> Self {
        let text = |secret: Secret| secret.expose().to_owned();
        Self {
            username: overview.username,
            email: overview.email.map(text),
            full_name: overview.full_name.map(text),
            roles: overview.roles,
        }
    }
}

impl SessionRow {
    fn of(session: StoredSession, current: SessionId, page: &Page) -> Self {
        let unknown = || page.words.unknown_device.to_owned();
        Self {
            id: session.id.to_string(),
            device: session.user_agent.as_deref().map_or_else(unknown, device::name),
            address: session.address.unwrap_or_default(),
            last_used: moment(session.last_used_at),
            current: session.id == current,
        }
    }
}
