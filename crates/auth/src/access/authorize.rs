//! The authorization decision; a pure function.

use super::authenticate::AuthenticationOutcome;
use super::csrf::CsrfContext;
use guarita_core::route::Policy;
use guarita_core::route::policy::Protection;
use guarita_core::{Code, Principal};

/// Properties of the request, besides the caller.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The subject common name of a verified client certificate.
    pub client_cn: Option<&'a str>,
    /// The request, for the CSRF check.
    pub asked: CsrfContext<'a>,
}

/// The permit to forward a request. Only [`authorize`] creates it.
#[derive(Debug)]
pub struct Permit {
    principal: Option<Principal>,
}

impl Permit {
    /// The caller; [`None`] on a public route without a valid credential.
    pub const fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }
}

/// Why a request is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Denial {
    /// No credential.
    Missing,
    /// Only invalid credentials.
    Invalid,
    /// None of the route's roles.
    Role,
    /// None of the route's scopes.
    Scope,
    /// None of the route's client certificates.
    ClientCertificate,
    /// None of the route's sources.
    Source,
    /// A second factor is required by the route, or of the caller.
    SecondFactor,
    /// The CSRF check failed.
    Forgery,
    /// The credential cannot be checked at present.
    Unknowable,
}

impl Denial {
    /// The problem code.
    pub const fn code(self) -> Code {
        match self {
            Self::Missing | Self::Invalid => Code::Unauthorized,
            Self::Role | Self::Scope | Self::ClientCertificate | Self::Source => Code::Forbidden,
            Self::SecondFactor => Code::SecondFactorRequired,
            Self::Forgery => Code::CsrfFailed,
            Self::Unknowable => Code::Unavailable,
        }
    }

    /// The reason's name in logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Role => "role",
            Self::Scope => "scope",
            Self::ClientCertificate => "client_certificate",
            Self::Source => "source",
            Self::SecondFactor => "second_factor",
            Self::Forgery => "forgery",
            Self::Unknowable => "unknowable",
        }
    }
}

/// Decides whether a request is permitted. All conditions of the policy must be met, in this order: a caller (401,
/// or 503 if it cannot be checked), the CSRF check for cookies, the client certificate, the source, the roles, the
/// scopes and the second factor (403). A public route requires no caller, but its other conditions are checked.
pub fn authorize(
    policy: &Policy,
    verdict: AuthenticationOutcome,
    caller: Caller<'_>,
) -> Result<Permit, Denial> {
    let mut principal = match verdict {
        AuthenticationOutcome::Proven(principal) => Some(principal),
        // Where nobody is asked, whoever is not wholly proven goes on as nobody.
        AuthenticationOutcome::HalfProven(_) => anonymous(policy, Denial::SecondFactor)?,
        AuthenticationOutcome::Anonymous { presented: false } => {
            anonymous(policy, Denial::Missing)?
        }
        AuthenticationOutcome::Anonymous { presented: true } => anonymous(policy, Denial::Invalid)?,
        AuthenticationOutcome::Unknowable => anonymous(policy, Denial::Unknowable)?,
        AuthenticationOutcome::Rejected => return Err(Denial::Invalid),
        AuthenticationOutcome::Unjudged => return Ok(Permit { principal: None }),
    };
    if principal.as_ref().is_some_and(|principal| forged(policy, principal, &caller.asked)) {
        principal = anonymous(policy, Denial::Forgery)?;
    }
    check_certificate(policy, caller)?;
    if let Some(principal) = &principal {
        check_source(policy, principal)?;
        check_roles(policy, principal)?;
        check_scopes(policy, principal)?;
        // Last: who may not pass with one need not prove one.
        check_second_factor(policy, principal)?;
    }
    Ok(Permit { principal })
}

/// There is no caller, which is fine on a public route. If a public route has roles or sources, which is
/// contradictory, the stricter condition applies.
fn anonymous(policy: &Policy, denial: Denial) -> Result<Option<Principal>, Denial> {
    if policy.demands_credential() { Err(denial) } else { Ok(None) }
}

fn check_certificate(policy: &Policy, caller: Caller<'_>) -> Result<(), Denial> {
    let named =
        caller.client_cn.is_some_and(|name| policy.client_cns.iter().any(|cn| **cn == *name));
    if policy.client_cns.is_empty() || named { Ok(()) } else { Err(Denial::ClientCertificate) }
}

/// Whether another site may have caused the request.
fn forged(policy: &Policy, principal: &Principal, asked: &CsrfContext<'_>) -> bool {
    // A provider's front end knows nothing of our anti-forgery token.
    let foreign = principal.identity().is_of_provider();
    let protection = if foreign { Protection::Origin } else { policy.protection };
    principal.is_ambient() && !asked.is_meant(protection)
}

fn check_source(policy: &Policy, principal: &Principal) -> Result<(), Denial> {
    let named = policy.sources.contains(&principal.identity().source());
    if policy.sources.is_empty() || named { Ok(()) } else { Err(Denial::Source) }
}

fn check_second_factor(policy: &Policy, principal: &Principal) -> Result<(), Denial> {
    let proven = principal.second_factor();
    if !policy.second_factor || proven { Ok(()) } else { Err(Denial::SecondFactor) }
}

fn check_roles(policy: &Policy, principal: &Principal) -> Result<(), Denial> {
    let held = policy.roles.iter().any(|role| principal.roles().contains(role));
    if policy.roles.is_empty() || held { Ok(()) } else { Err(Denial::Role) }
}

fn check_scopes(policy: &Policy, principal: &Principal) -> Result<(), Denial> {
    let held = policy.scopes.iter().any(|scope| principal.identity().scopes().contains(scope));
    if policy.scopes.is_empty() || held { Ok(()) } else { Err(Denial::Scope) }
}

#[cfg(test)]
mod tests;
