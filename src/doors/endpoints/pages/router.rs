//! All pages in one router.

use std::sync::Arc;

use axum::Router;

use super::super::{login, mfa, sessions};
use super::settings::Settings;
use super::{account, sign_in, style};
use crate::services::account::Overviews;

/// Whom the pages ask.
pub struct Desks {
    pub(in super::super) settings: Arc<Settings>,
    pub(in super::super) login: login::Desk,
    pub(in super::super) factor: mfa::Desk,
    pub(in super::super) sessions: sessions::Desk,
    pub(in super::super) overviews: Arc<Overviews>,
}

/// Builds the router, once.
pub fn routes(desks: Desks) -> Router {
    let Desks { settings, login, factor, sessions, overviews } = desks;
    Router::new()
        .merge(style::routes(Arc::clone(&settings)))
        .merge(sign_in::routes(sign_in::Desk {
            settings: Arc::clone(&settings),
            login,
            factor: factor.clone(),
        }))
        .merge(account::routes(account::Desk { settings, factor, sessions, overviews }))
}
