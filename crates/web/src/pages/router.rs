//! The router of all pages.

use std::sync::Arc;

use axum::Router;

use super::super::{links as mailed, login, mfa, oidc, password, sessions};
use super::page::Pages;
use super::settings::PageSettings;
use super::{account, links, sign_in, style};
use guarita_auth::access::csrf::Bound;
use guarita_auth::account::Overviews;

/// The state of the pages.
pub struct PagesState {
    pub(crate) settings: Arc<PageSettings>,
    pub(crate) login: login::LoginState,
    pub(crate) factor: mfa::MfaState,
    pub(crate) sessions: sessions::SessionsState,
    pub(crate) links: mailed::LinksState,
    pub(crate) password: password::PasswordState,
    pub(crate) overviews: Arc<Overviews>,
    pub(crate) providers: oidc::OidcState,
}

/// Builds the router, once.
pub fn routes(desks: PagesState) -> Router {
    let PagesState {
        settings,
        login,
        factor,
        sessions,
        links: mailed,
        password,
        overviews,
        providers,
    } = desks;
    // What signs in has no session yet that a form could be bound to.
    let pages = Pages::new(Arc::clone(&settings), Bound::ToBrowser);
    let own_pages = Pages::new(Arc::clone(&settings), Bound::ToSession);
    let own = account::AccountPageState {
        pages: own_pages,
        factor: factor.clone(),
        sessions,
        password,
        overviews,
        providers,
    };
    Router::new()
        .merge(style::routes(settings))
        .merge(sign_in::routes(sign_in::SignInPageState {
            pages: pages.clone(),
            passwords: true,
            login,
            factor,
        }))
        .merge(links::routes(links::LinksPageState { pages, mailed }))
        .merge(account::routes(own))
}

/// With `mode = "external"`: only the page that leads to the providers.
pub fn routes_to_providers(desks: PagesState) -> Router {
    let PagesState { settings, login, factor, .. } = desks;
    let pages = Pages::new(Arc::clone(&settings), Bound::ToBrowser);
    let desk = sign_in::SignInPageState { pages, passwords: false, login, factor };
    style::routes(settings).merge(sign_in::routes_to_providers(desk))
}
