//! All pages in one router.

use std::sync::Arc;

use axum::Router;

use super::super::{login, mfa, password, recovery, sessions, verification};
use super::settings::Settings;
use super::{account, links, sign_in, style};
use crate::services::account::Overviews;

/// Whom the pages ask.
pub struct Desks {
    pub(in super::super) settings: Arc<Settings>,
    pub(in super::super) login: login::Desk,
    pub(in super::super) factor: mfa::Desk,
    pub(in super::super) sessions: sessions::Desk,
    pub(in super::super) recovery: recovery::Desk,
    pub(in super::super) verification: verification::Desk,
    pub(in super::super) password: password::Desk,
    pub(in super::super) overviews: Arc<Overviews>,
}

/// Builds the router, once.
pub fn routes(desks: Desks) -> Router {
    let Desks { settings, login, factor, sessions, recovery, verification, password, overviews } =
        desks;
    Router::new()
        .merge(style::routes(Arc::clone(&settings)))
        .merge(sign_in::routes(sign_in::Desk {
            settings: Arc::clone(&settings),
            login,
            factor: factor.clone(),
        }))
        .merge(links::routes(links::Desk {
            settings: Arc::clone(&settings),
            recovery,
            verification,
        }))
        .merge(account::routes(account::Desk { settings, factor, sessions, password, overviews }))
}
