//! The router of all pages.

use std::sync::Arc;

use axum::Router;

use super::super::{links as mailed, login, mfa, oidc, password, sessions};
use super::page::Pages;
use super::settings::Settings;
use super::{account, links, sign_in, style};
use crate::live::Live;
use crate::services::access::forgery::Bound;
use crate::services::account::Overviews;

/// Whom the pages ask.
pub struct Desks {
    pub(in super::super) settings: Arc<Settings>,
    pub(in super::super) login: login::Desk,
    pub(in super::super) factor: mfa::Desk,
    pub(in super::super) sessions: sessions::SessionsState,
    pub(in super::super) links: mailed::Desk,
    pub(in super::super) password: password::Desk,
    pub(in super::super) overviews: Arc<Overviews>,
    pub(in super::super) live: Arc<Live>,
    pub(in super::super) providers: oidc::Desk,
}

/// Builds the router, once.
pub fn routes(desks: Desks) -> Router {
    let Desks {
        settings,
        login,
        factor,
        sessions,
        links: mailed,
        password,
        overviews,
        live,
        providers,
    } = desks;
    // What signs in has no session yet that a form could be bound to.
    let pages = Pages::new(Arc::clone(&settings), Bound::ToBrowser);
    let own_pages = Pages::new(Arc::clone(&settings), Bound::ToSession);
    let own = account::Desk {
        pages: own_pages,
        factor: factor.clone(),
        sessions,
        password,
        overviews,
        providers,
    };
    Router::new()
        .merge(style::routes(settings))
        .merge(sign_in::routes(sign_in::Desk {
            pages: pages.clone(),
            live,
            passwords: true,
            login,
            factor,
        }))
        .merge(links::routes(links::Desk { pages, mailed }))
        .merge(account::routes(own))
}

/// Where others issue the tokens: the page that leads to them.
pub fn routes_to_providers(desks: Desks) -> Router {
    let Desks { settings, login, factor, live, .. } = desks;
    let pages = Pages::new(Arc::clone(&settings), Bound::ToBrowser);
    let desk = sign_in::Desk { pages, live, passwords: false, login, factor };
    style::routes(settings).merge(sign_in::routes_to_providers(desk))
}
