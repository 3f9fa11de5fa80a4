use std::cell::Cell;
use std::time::Duration;

use super::super::sample::{claims, expectations, keyring, now, session, user};
use super::*;
use crate::access::VerifiedToken;
use crate::session::UserStatus;
use crate::snapshot::Providers;
use guarita_core::jose::{Claims, Expectations, Keyring};
use guarita_core::{Role, Roles, UserId};
use guarita_telemetry::{Audit, Metrics, Telemetry};

/// A registry's answer, and how often it was asked.
struct Asked {
    answer: Result<SessionStatus, StatusUnavailable>,
    times: Cell<usize>,
}

struct Court {
    _directory: guarita_store::sample::SampleStore,
    linking: AccountLinker,
    verified: VerifiedTokens,
    keyring: Keyring,
    expectations: Expectations,
    reject_invalid: bool,
    required_factor: RequiredFactor,
    providers: Providers,
}

impl Court {
    async fn new() -> Self {
        let (directory, store) = guarita_store::sample::open().await;
        let keep = Duration::from_secs(180 * 86_400);
        let audit = Audit::open(&directory.path().join("audit"), keep).unwrap();
        let telemetry = Telemetry::new(Metrics::new().unwrap().into(), audit);
        Self {
            linking: AccountLinker::new(store, telemetry),
            _directory: directory,
            verified: VerifiedTokens::new(100),
            keyring: keyring(),
            expectations: expectations(),
            reject_invalid: false,
            required_factor: RequiredFactor::default(),
            providers: Providers::default(),
        }
    }

    fn token(&self, claims: &Claims) -> String {
        self.keyring.issue(claims).unwrap().expose().to_owned()
    }

    async fn judge(&self, tokens: &[&str], asked: &Asked) -> AuthenticationOutcome {
        let grounds = AuthenticationContext {
            issuers: Issuers {
                keyring: &self.keyring,
                expectations: &self.expectations,
                providers: &self.providers,
            },
            service_key: None,
            reject_invalid: self.reject_invalid,
            required_factor: &self.required_factor,
            now: now(),
        };
        let credentials = tokens.iter().map(|token| Credential::Bearer(token));
        try_each(
            KnownTokens {
                bearers: &self.verified,
                cookies: &self.verified,
                linking: &self.linking,
            },
            grounds,
            credentials,
            None,
            (
                |id| {
                    assert_eq!(id, session());
                    asked.times.set(asked.times.get() + 1);
                    std::future::ready(asked.answer.clone())
                },
                |_| std::future::ready(Ok(false)),
            ),
            |_| std::future::ready(Ok(None)),
            |_| std::future::ready(Ok(None)),
        )
        .await
    }
}

fn asked(answer: Result<SessionStatus, StatusUnavailable>) -> Asked {
    Asked { answer, times: Cell::new(0) }
}

fn active() -> Asked {
    asked(Ok(standing(user(7, now().minus(Duration::from_secs(60))), false)))
}

fn standing(user: Arc<UserStatus>, second_factor: bool) -> SessionStatus {
    SessionStatus::Active { user, second_factor, expires_at: now().plus(Duration::from_secs(3600)) }
}

fn proven(verdict: AuthenticationOutcome) -> Principal {
    match verdict {
        AuthenticationOutcome::Proven(principal) => principal,
        other @ (AuthenticationOutcome::Anonymous { .. }
        | AuthenticationOutcome::HalfProven(_)
        | AuthenticationOutcome::Rejected
        | AuthenticationOutcome::Unknowable
        | AuthenticationOutcome::Unjudged) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_of_an_active_session_proves_the_caller() {
    let court = Court::new().await;
    let registry = active();
    let principal = proven(court.judge(&[&court.token(&claims())], &registry).await);
    assert_eq!(principal.identity().subject().as_str(), "alice");
    assert_eq!(principal.identity().source(), Source::Bearer);
    assert_eq!(principal.identity().token_id(), Some("token-1"));
    assert_eq!(principal.roles().header(), "reader");
}

#[tokio::test]
async fn the_session_is_asked_on_every_request_also_when_the_token_is_known() {
    // session-revocation-003
    let court = Court::new().await;
    let token = court.token(&claims());
    let registry = active();
    for round in 1..=3 {
        proven(court.judge(&[&token], &registry).await);
        assert_eq!((registry.times.get(), court.verified.len()), (round, 1));
    }
    let revoked = asked(Ok(SessionStatus::Inactive));
    let verdict = court.judge(&[&token], &revoked).await;
    assert!(matches!(verdict, AuthenticationOutcome::Anonymous { presented: true }), "{verdict:?}");
    assert_eq!(revoked.times.get(), 1);
}

#[tokio::test]
async fn a_bad_token_asks_nobody_and_is_not_remembered() {
    let court = Court::new().await;
    let registry = active();
    for token in ["", "junk", &Court::new().await.token(&claims())] {
        let verdict = court.judge(&[token], &registry).await;
        assert!(
            matches!(verdict, AuthenticationOutcome::Anonymous { presented: true }),
            "{verdict:?}"
        );
    }
    assert_eq!((registry.times.get(), court.verified.len()), (0, 0));
    let verdict = court.judge(&[], &registry).await;
    assert!(
        matches!(verdict, AuthenticationOutcome::Anonymous { presented: false }),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_bad_credential_falls_to_the_next() {
    let court = Court::new().await;
    let good = court.token(&claims());
    proven(court.judge(&["junk", &good], &active()).await);
    proven(court.judge(&[&good, "junk"], &active()).await);
}

#[tokio::test]
async fn a_bad_credential_ends_the_search_where_it_is_to_be_rejected() {
    let court = Court { reject_invalid: true, ..Court::new().await };
    let good = court.token(&claims());
    let verdict = court.judge(&["junk", &good], &active()).await;
    assert!(matches!(verdict, AuthenticationOutcome::Rejected), "{verdict:?}");
    let verdict = court.judge(&[&good], &asked(Ok(SessionStatus::Inactive))).await;
    assert!(matches!(verdict, AuthenticationOutcome::Rejected), "{verdict:?}");
    proven(court.judge(&[&good, "junk"], &active()).await);
    let verdict = court.judge(&[], &active()).await;
    assert!(
        matches!(verdict, AuthenticationOutcome::Anonymous { presented: false }),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_known_lets_nobody_in() {
    // session-revocation-005
    let court = Court::new().await;
    let good = court.token(&claims());
    let silent = asked(Err(StatusUnavailable));
    let verdict = court.judge(&[&good, &good], &silent).await;
    assert!(matches!(verdict, AuthenticationOutcome::Unknowable), "{verdict:?}");
    assert_eq!(silent.times.get(), 1);
}

#[test]
fn the_user_of_the_session_must_be_that_of_the_token() {
    let keyring = keyring();
    let token = |claims| {
        VerifiedToken::new(claims, Source::Bearer, &keyring, &expectations(), now()).unwrap()
    };
    let past = now().minus(Duration::from_secs(60));
    let of = |id| standing(user(id, past), false);
    let prove =
        |claims, standing| prove(token(claims).proof(), &standing, &RequiredFactor::default());
    assert!(prove(claims(), of(7)).is_some());
    assert!(prove(claims(), of(8)).is_none());
    assert!(prove(Claims { user: None, ..claims() }, of(7)).is_none());
    assert!(prove(claims(), SessionStatus::Inactive).is_none());
}

#[test]
fn roles_that_changed_since_the_issue_count_from_the_store() {
    let token =
        VerifiedToken::new(claims(), Source::Bearer, &keyring(), &expectations(), now()).unwrap();
    let second = Duration::from_secs(1);
    for (changed, roles) in
        [(now().minus(second), "reader"), (now(), "admin"), (now().plus(second), "admin")]
    {
        let standing = standing(user(7, changed), false);
        let principal =
            proven(prove(token.proof(), &standing, &RequiredFactor::default()).unwrap());
        assert_eq!(principal.roles().header(), roles, "{changed:?}");
        assert_eq!(principal.identity().roles().header(), "reader");
    }
}

/// totp-012
#[test]
fn who_lacks_a_demanded_second_factor_is_half_proven() {
    let (keyring, past) = (keyring(), now().minus(Duration::from_secs(60)));
    let token =
        |claims| VerifiedToken::new(claims, Source::Bearer, &keyring, &expectations(), now());
    let bare = Claims { roles: Roles::none(), ..claims() };
    let strong = Claims { second_factor_at: Some(past), ..claims() };
    let (nobody, admins) =
        (RequiredFactor::default(), RequiredFactor::new(&[Role::parse("admin").unwrap()]));
    // The roles in the store demand it, whatever those of the token.
    for (claims, in_session, of_account, required, whole) in [
        (claims(), false, false, &nobody, true),
        (claims(), false, true, &nobody, false),
        (claims(), false, false, &admins, false),
        (bare, false, false, &admins, false),
        (claims(), true, true, &admins, true),
        (strong, false, true, &admins, true),
    ] {
        let demanding = UserStatus {
            user: UserId::new(7),
            roles: Roles::parse(["admin"]).unwrap(),
            roles_changed_at: past,
            second_factor_required: of_account,
        };
        let standing = standing(Arc::new(demanding), in_session);
        let verdict = prove(token(claims).unwrap().proof(), &standing, required).unwrap();
        assert_eq!(matches!(verdict, AuthenticationOutcome::Proven(_)), whole, "{verdict:?}");
        assert_eq!(matches!(verdict, AuthenticationOutcome::HalfProven(_)), !whole, "{verdict:?}");
    }
}

/// A token that was issued before the second factor names no roles.
#[test]
fn a_token_without_roles_has_those_in_the_store() {
    let bare = Claims { roles: Roles::none(), ..claims() };
    let token =
        VerifiedToken::new(bare, Source::Bearer, &keyring(), &expectations(), now()).unwrap();
    let standing = standing(user(7, now().minus(Duration::from_secs(60))), true);
    let principal = proven(prove(token.proof(), &standing, &RequiredFactor::default()).unwrap());
    assert_eq!(principal.roles().header(), "admin");
    assert!(principal.second_factor());
}

#[test]
fn judging_can_move_between_threads() {
    fn movable<T: Send>(_: Option<T>) {}
    fn of<'a>(
        judge: &'a Authenticator,
        seen: (&'a AuthSnapshot, &'a Credentials<'a>),
    ) -> impl Send + 'a {
        judge.authenticate(seen.0, seen.1, || IpAddr::from([127, 0, 0, 1]), None, now())
    }
    movable(Some(of));
}

#[test]
fn a_role_that_a_provider_gives_demands_its_second_factor_too() {
    let admin = Roles::parse(["Guarita.Admin"]).unwrap();
    let required = RequiredFactor::new(&[Role::parse("Guarita.Admin").unwrap()]);
    let judged = |proven: bool| {
        let (subject, id) = (claims().subject, Some(UserId::new(7)));
        let identity =
            Identity::new(subject, id, Some(session()), admin.clone(), Source::Bearer, None);
        let identity = identity.unwrap().with_provider_roles().with_second_factor(proven);
        let proof = VerifiedCredential {
            identity: Arc::new(identity),
            session: Some(session()),
            as_of: now(),
            ends_at: None,
            ambient: false,
        };
        // The store knows nothing of that role.
        prove(proof, &standing(user(7, now()), false), &required).unwrap()
    };
    assert!(matches!(judged(false), AuthenticationOutcome::HalfProven(_)));
    assert!(matches!(judged(true), AuthenticationOutcome::Proven(_)));
}
