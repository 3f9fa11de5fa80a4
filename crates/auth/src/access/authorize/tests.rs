use super::super::sample::{claims, expectations, keyring, now};
use super::super::token_cache::VerifiedToken;
use std::sync::LazyLock;

use http::{HeaderMap, Method};

use super::*;
use guarita_core::http::AllowedOrigins;
use guarita_core::jose::Claims;
use guarita_core::route::policy::Protection;
use guarita_core::{Identity, Role, Roles, Scope, Scopes, Source, Subject};

static NO_FIELDS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);

fn asked(method: &Method) -> CsrfContext<'_> {
    let own = AllowedOrigins { public: "https://a.test", scheme: "https", authority: "a.test" };
    CsrfContext { method, headers: &NO_FIELDS, own }
}

const fn caller<'a>(client_cn: Option<&'a str>, asked: CsrfContext<'a>) -> Caller<'a> {
    Caller { client_cn, asked }
}

fn principal() -> Principal {
    let token =
        VerifiedToken::new(claims(), Source::Bearer, &keyring(), &expectations(), now()).unwrap();
    Principal::new(token.proof().identity)
}

fn verdicts() -> Vec<AuthenticationOutcome> {
    vec![
        AuthenticationOutcome::Anonymous { presented: false },
        AuthenticationOutcome::Anonymous { presented: true },
        AuthenticationOutcome::Rejected,
        AuthenticationOutcome::Proven(principal()),
        AuthenticationOutcome::HalfProven(principal()),
        AuthenticationOutcome::Unknowable,
        AuthenticationOutcome::Unjudged,
    ]
}

/// One demand of a policy: not made, made and met by the sample caller, made and not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    None,
    Met,
    Unmet,
}

const DEMANDS: [Demand; 3] = [Demand::None, Demand::Met, Demand::Unmet];

fn policy(public: bool, certificate: Demand, source: Demand, roles: Demand) -> Policy {
    let role = |name| vec![Role::parse("other").unwrap(), Role::parse(name).unwrap()];
    Policy {
        public,
        client_cns: match certificate {
            Demand::None => Vec::new(),
            Demand::Met => vec!["other".into(), "robot".into()],
            Demand::Unmet => vec!["Robot".into(), "robo".into()],
        },
        sources: match source {
            Demand::None => Vec::new(),
            Demand::Met => vec![Source::ApiKey, Source::Bearer],
            Demand::Unmet => vec![Source::Session],
        },
        roles: match roles {
            Demand::None => Vec::new(),
            Demand::Met => role("reader"),
            Demand::Unmet => role("Reader"),
        },
        scopes: Vec::new(),
        on_unknown: None,
        second_factor: false,
        protection: Protection::Token,
    }
}

/// The expected outcomes, written independently of the code.
fn expected(
    public: bool,
    demands: [Demand; 3],
    verdict: &AuthenticationOutcome,
) -> Result<bool, Denial> {
    let [certificate, source, roles] = demands;
    let asks = !public || source != Demand::None || roles != Demand::None;
    let by_certificate = |proven| {
        if certificate == Demand::Unmet { Err(Denial::ClientCertificate) } else { Ok(proven) }
    };
    match verdict {
        AuthenticationOutcome::Unjudged => Ok(false),
        AuthenticationOutcome::Rejected => Err(Denial::Invalid),
        AuthenticationOutcome::Anonymous { presented: false } if asks => Err(Denial::Missing),
        AuthenticationOutcome::Anonymous { presented: true } if asks => Err(Denial::Invalid),
        AuthenticationOutcome::Unknowable if asks => Err(Denial::Unknowable),
        AuthenticationOutcome::HalfProven(_) if asks => Err(Denial::SecondFactor),
        AuthenticationOutcome::Anonymous { .. }
        | AuthenticationOutcome::Unknowable
        | AuthenticationOutcome::HalfProven(_) => by_certificate(false),
        AuthenticationOutcome::Proven(_) => {
            by_certificate(true)?;
            if source == Demand::Unmet {
                Err(Denial::Source)
            } else if roles == Demand::Unmet {
                Err(Denial::Role)
            } else {
                Ok(true)
            }
        }
    }
}

#[test]
fn every_policy_meets_every_verdict() {
    let caller = caller(Some("robot"), asked(&Method::GET));
    for public in [false, true] {
        for certificate in DEMANDS {
            for source in DEMANDS {
                for roles in DEMANDS {
                    let policy = policy(public, certificate, source, roles);
                    for verdict in verdicts() {
                        let wanted = expected(public, [certificate, source, roles], &verdict);
                        let case = format!("{policy:?} {verdict:?}");
                        let decided = authorize(&policy, verdict, caller);
                        let decided = decided.map(|permit| permit.principal().is_some());
                        assert_eq!(decided, wanted, "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn without_a_client_certificate_none_is_met() {
    let demanding = policy(true, Demand::Met, Demand::None, Demand::None);
    let verdict = || AuthenticationOutcome::Anonymous { presented: false };
    let denied = authorize(&demanding, verdict(), caller(None, asked(&Method::GET)));
    assert_eq!(denied.unwrap_err(), Denial::ClientCertificate);
    let free = policy(true, Demand::None, Demand::None, Demand::None);
    assert!(authorize(&free, verdict(), caller(None, asked(&Method::GET))).is_ok());
}

#[test]
fn the_roles_that_count_now_decide() {
    let token =
        VerifiedToken::new(claims(), Source::Bearer, &keyring(), &expectations(), now()).unwrap();
    let roles = Roles::parse(["admin"]).unwrap();
    let current = Principal::with_current_roles(token.proof().identity, roles);
    let reader = policy(false, Demand::None, Demand::None, Demand::Met);
    let denied = authorize(
        &reader,
        AuthenticationOutcome::Proven(current),
        caller(None, asked(&Method::GET)),
    );
    assert_eq!(denied.unwrap_err(), Denial::Role);
}

#[test]
fn any_scope_of_the_route_is_enough_and_none_is_not() {
    let subject = || Subject::parse("apikey:jobs").unwrap();
    let with = |scopes: &[&str]| {
        let identity =
            Identity::new(subject(), None, None, Roles::none(), Source::ApiKey, None).unwrap();
        let scopes = Scopes::parse(scopes.iter().copied()).unwrap();
        AuthenticationOutcome::Proven(Principal::new(std::sync::Arc::new(
            identity.with_scopes(scopes),
        )))
    };
    let scopes = ["orders:read", "orders:write"].map(|scope| Scope::parse(scope).unwrap());
    for public in [false, true] {
        let policy = Policy { public, scopes: scopes.to_vec(), ..Policy::default() };
        let decide =
            |verdict| authorize(&policy, verdict, caller(None, asked(&Method::GET))).map(|_| ());
        assert_eq!(decide(with(&["orders:write"])), Ok(()));
        assert_eq!(decide(with(&["a", "orders:read", "z"])), Ok(()));
        for without in [&[][..], &["orders"], &["orders:read2"], &["ORDERS:READ"]] {
            assert_eq!(decide(with(without)), Err(Denial::Scope), "{without:?}");
        }
        // A token of ours has none.
        assert_eq!(decide(AuthenticationOutcome::Proven(principal())), Err(Denial::Scope));
        assert_eq!(
            decide(AuthenticationOutcome::Anonymous { presented: false }),
            Err(Denial::Missing)
        );
    }
}

#[test]
fn each_denial_has_its_status() {
    let table = [
        (Denial::Missing, 401),
        (Denial::Invalid, 401),
        (Denial::Role, 403),
        (Denial::Scope, 403),
        (Denial::ClientCertificate, 403),
        (Denial::Source, 403),
        (Denial::Forgery, 403),
        (Denial::Unknowable, 503),
    ];
    for (denial, status) in table {
        assert_eq!(denial.code().status(), status, "{}", denial.as_str());
    }
}

#[test]
fn a_second_factor_is_asked_of_whoever_passes_otherwise() {
    let demanding = Policy { second_factor: true, ..Policy::default() };
    let pass = |claims: Claims| {
        let token = VerifiedToken::new(claims, Source::Bearer, &keyring(), &expectations(), now());
        let principal = Principal::new(token.unwrap().proof().identity);
        authorize(
            &demanding,
            AuthenticationOutcome::Proven(principal),
            caller(None, asked(&Method::GET)),
        )
        .map(|_| ())
    };
    assert_eq!(pass(claims()), Err(Denial::SecondFactor));
    assert_eq!(pass(Claims { second_factor_at: Some(now()), ..claims() }), Ok(()));
    let anonymous = AuthenticationOutcome::Anonymous { presented: false };
    let refused = authorize(&demanding, anonymous, caller(None, asked(&Method::GET)));
    assert_eq!(refused.unwrap_err(), Denial::Missing);
}

/// csrf-origin-003, csrf-origin-007
#[test]
fn only_a_cookie_s_request_must_show_that_it_was_meant() {
    let of = |source| {
        let token =
            VerifiedToken::new(claims(), source, &keyring(), &expectations(), now()).unwrap();
        AuthenticationOutcome::Proven(Principal::new(token.proof().identity))
    };
    let open = Policy { public: true, ..Policy::default() };
    for (policy, source, method, expected) in [
        (Policy::default(), Source::Session, Method::GET, Ok(true)),
        (Policy::default(), Source::Session, Method::POST, Err(Denial::Forgery)),
        (Policy::default(), Source::Bearer, Method::POST, Ok(true)),
        (Policy::default(), Source::ApiKey, Method::POST, Ok(true)),
        // Who may come as nobody comes as nobody.
        (open.clone(), Source::Session, Method::POST, Ok(false)),
        (open, Source::Session, Method::GET, Ok(true)),
    ] {
        let decided = authorize(&policy, of(source), caller(None, asked(&method)));
        let decided = decided.map(|permit| permit.principal().is_some());
        assert_eq!(decided, expected, "{source:?} {method}");
    }
}
