//! What a token says, if it counts at this moment (RFC 7662).

use super::judge::{Verdict, prove};
use super::verified::VerifiedToken;
use crate::live::Snapshot;
use crate::model::{Principal, SessionId, Source, Timestamp};
use crate::rules::token::Claims;
use crate::services::session::{Registry, Unknowable};

/// A client's question, answered by the rules by which the judge answers a caller's request.
#[derive(Debug)]
pub struct Introspection {
    registry: Registry,
}

/// A token that would be let in now.
#[derive(Debug)]
pub struct Active {
    /// What it says.
    pub claims: Claims,
    /// Whose it is, with the roles in force.
    pub principal: Principal,
}

impl Introspection {
    /// Over the registry of this node.
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// The access token, if its session lives and nothing is demanded of it that it lacks.
    pub async fn introspect(
        &self,
        snapshot: &Snapshot,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Active>, Unknowable> {
        let (keyring, expected) = (&snapshot.keyring, &snapshot.expectations);
        let Ok(claims) = keyring.verify(token, expected, now) else { return Ok(None) };
        let verified = VerifiedToken::new(claims.clone(), Source::Bearer, keyring, expected);
        let Ok(verified) = verified else { return Ok(None) };
        let standing = self.registry.standing(claims.session, now).await?;
        Ok(match prove(verified.proof(), &standing, &snapshot.required_factor) {
            Some(Verdict::Proven(principal)) => Some(Active { claims, principal }),
            _ => None,
        })
    }

    /// The session of an access token that holds, whether or not the session does.
    pub fn session_of(
        &self,
        snapshot: &Snapshot,
        token: &str,
        now: Timestamp,
    ) -> Option<SessionId> {
        let claims = snapshot.keyring.verify(token, &snapshot.expectations, now).ok()?;
        Some(claims.session)
    }
}
