//! What a route demands of a caller.

use crate::model::{Role, Source};

/// The demands of one route. All that are set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Nobody is asked who they are.
    pub public: bool,
    /// Any of these roles; empty demands none.
    pub roles: Vec<Role>,
    /// Any of these subject CNs in a verified client certificate; empty demands none.
    pub client_cns: Vec<Box<str>>,
    /// Any of these sources of the credential; empty takes all.
    pub sources: Vec<Source>,
}
