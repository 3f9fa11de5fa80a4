use super::super::feed_liveness::MAX_SILENCE;
use super::load::ABSENT_TTL;
use super::*;
use crate::session::lookup::find;
use guarita_core::{Role, random};
use guarita_store::sample;
use guarita_store::sample::{DAY, NOW};

fn hearing(store: &Store) -> SessionCache {
    let registry = SessionCache::new(store.clone());
    registry.heard(Instant::now());
    registry
}

/// What memory knows while the feed speaks, however slow this machine is.
fn known(registry: &SessionCache, session: SessionId, now: Timestamp) -> Option<SessionStatus> {
    registry.heard(Instant::now());
    registry.cached(session, now)
}

fn is_active(standing: Option<&SessionStatus>) -> bool {
    matches!(standing, Some(SessionStatus::Active { .. }))
}

fn is_inactive(standing: Option<&SessionStatus>) -> bool {
    matches!(standing, Some(SessionStatus::Inactive))
}

#[tokio::test]
async fn what_was_asked_is_recalled_until_it_is_revoked() {
    let (_directory, store) = sample::open().await;
    let registry = hearing(&store);
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    assert!(known(&registry, session, NOW).is_none());
    assert!(is_active(Some(&registry.ask(session, NOW).await.unwrap())));
    assert!(is_active(known(&registry, session, NOW).as_ref()));
    sample::revoke(&store, session).await;
    registry.revoke(session);
    assert!(known(&registry, session, NOW).is_none());
    assert!(is_inactive(Some(&registry.ask(session, NOW).await.unwrap())));
    assert!(is_inactive(known(&registry, session, NOW).as_ref()));
}

#[tokio::test]
async fn a_registry_that_lost_its_memory_lets_only_stored_sessions_in() {
    let (_directory, store) = sample::open().await;
    let registry = hearing(&store);
    let unknown = SessionId::new(random::ordered_uuid());
    assert!(is_inactive(Some(&registry.ask(unknown, NOW).await.unwrap())));
    assert!(is_inactive(known(&registry, unknown, NOW).as_ref()), "remembered");
    assert!(known(&registry, unknown, NOW.plus(ABSENT_TTL)).is_none(), "but briefly");
}

#[tokio::test]
async fn memory_is_not_believed_before_the_feed_speaks_nor_a_second_after() {
    let (_directory, store) = sample::open().await;
    let mut registry = SessionCache::new(store.clone());
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    assert!(is_active(Some(&registry.ask(session, NOW).await.unwrap())));
    assert!(registry.cached(session, NOW).is_none());
    registry.heard(Instant::now());
    assert!(is_active(registry.cached(session, NOW).as_ref()));
    let ended = async {
        while Arc::get_mut(&mut registry.0).is_none() {
            tokio::task::yield_now().await;
        }
    };
    ended.await;
    let memory = Arc::get_mut(&mut registry.0).unwrap();
    memory.hearing.born = memory.hearing.born.checked_sub(MAX_SILENCE).unwrap();
    assert!(registry.cached(session, NOW).is_none());
    assert!(is_active(Some(&registry.ask(session, NOW).await.unwrap())), "the store still knows");
}

/// Lets the feed have been silent beyond its bound.
async fn silence(registry: &mut SessionCache) {
    while Arc::get_mut(&mut registry.0).is_none() {
        tokio::task::yield_now().await;
    }
    let memory = Arc::get_mut(&mut registry.0).unwrap();
    memory.hearing.born = memory.hearing.born.checked_sub(MAX_SILENCE * 2).unwrap();
}

#[tokio::test]
async fn by_leave_a_session_counts_as_it_was_last_known_and_one_known_to_be_over_never() {
    let (_directory, store) = sample::open().await;
    let mut registry = hearing(&store);
    let (alice, bob) = (sample::user(&store, "alice").await, sample::user(&store, "bob").await);
    let mut sessions = Vec::new();
    for user in [alice, alice, alice, bob, bob] {
        let session = sample::session(&store, user, NOW.plus(DAY)).await;
        assert!(is_active(Some(&registry.ask(session, NOW).await.unwrap())));
        sessions.push(session);
    }
    let never_seen = sample::session(&store, alice, NOW.plus(DAY)).await;
    registry.revoke(sessions[1]);
    silence(&mut registry).await;
    // Nobody hears of these. The store says so for one session of each.
    sample::revoke(&store, sessions[2]).await;
    let mut transaction = store.begin_write().await.unwrap();
    transaction.set_active(bob, false, NOW).await.unwrap();
    transaction.commit().await.unwrap();
    for over in [sessions[2], sessions[3]] {
        assert!(is_inactive(Some(&registry.ask(over, NOW).await.unwrap())));
    }
    assert!(is_active(Some(&registry.ask(sessions[0], NOW).await.unwrap())), "asked once more");
    store.close().await;
    let leave = StaleReadPolicy::new(Duration::from_secs(3_600));
    let by = async |session, now| registry.status_or_stale(Some(&leave), session, now).await.ok();
    assert!(!leave.is_used());
    assert!(is_active(by(sessions[0], NOW).await.as_ref()));
    assert!(leave.is_used());
    assert!(by(sessions[0], NOW.plus(DAY)).await.is_none(), "it has ended");
    assert!(by(sessions[1], NOW).await.is_none(), "revoked here");
    for over in [sessions[2], sessions[3]] {
        assert!(is_inactive(by(over, NOW).await.as_ref()));
        assert!(by(over, NOW.plus(ABSENT_TTL)).await.is_none());
    }
    assert!(by(sessions[4], NOW).await.is_none(), "of a user that is disabled");
    assert!(by(never_seen, NOW).await.is_none());
    assert!(registry.status(sessions[0], NOW).await.is_err(), "without leave");
}

#[tokio::test]
async fn a_session_ends_at_its_second() {
    let (_directory, store) = sample::open().await;
    let registry = hearing(&store);
    let user = sample::user(&store, "alice").await;
    let end = NOW.plus(DAY);
    let session = sample::session(&store, user, end).await;
    registry.ask(session, NOW).await.unwrap();
    let before = Timestamp::from_seconds(end.seconds() - 1);
    assert!(is_active(known(&registry, session, before).as_ref()));
    assert!(known(&registry, session, end).is_none());
    assert!(is_inactive(Some(&registry.ask(session, end).await.unwrap())));
}

#[tokio::test]
async fn a_forgotten_user_is_asked_for_again_in_every_session() {
    let (_directory, store) = sample::open().await;
    let registry = hearing(&store);
    let user = sample::user(&store, "alice").await;
    let sessions = [
        sample::session(&store, user, NOW.plus(DAY)).await,
        sample::session(&store, user, NOW.plus(DAY)).await,
    ];
    for session in sessions {
        registry.ask(session, NOW).await.unwrap();
    }
    let mut transaction = store.begin_write().await.unwrap();
    transaction.grant_role(user, &Role::parse("admin").unwrap(), NOW).await.unwrap();
    transaction.commit().await.unwrap();
    registry.forget_user(user);
    for session in sessions {
        assert!(known(&registry, session, NOW).is_none());
        let SessionStatus::Active { user: standing, .. } =
            registry.ask(session, NOW).await.unwrap()
        else {
            panic!()
        };
        assert_eq!(standing.roles.header(), "admin");
        assert_eq!(standing.roles_changed_at, NOW);
    }
    let mut transaction = store.begin_write().await.unwrap();
    transaction.set_active(user, false, NOW).await.unwrap();
    transaction.commit().await.unwrap();
    registry.forget_user(user);
    for session in sessions {
        assert!(is_inactive(Some(&registry.ask(session, NOW).await.unwrap())));
    }
}

#[tokio::test]
async fn one_question_serves_all_who_wait() {
    let (_directory, store) = sample::open().await;
    let registry = hearing(&store);
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    let turns = registry.0.turns.acquire_many(4).await.unwrap();
    let waiting: Vec<_> = (0..100).map(|_| registry.join(session, NOW).unwrap()).collect();
    assert_eq!(registry.0.lock().len(), 1);
    drop(turns);
    for mut answer in waiting {
        let answered = answer.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        assert!(is_active(answered.ok().as_ref()));
    }
}

#[tokio::test]
async fn questions_are_bounded() {
    let (_directory, store) = sample::open().await;
    let registry = hearing(&store);
    let _turns = registry.0.turns.acquire_many(4).await.unwrap();
    for _ in 0..MAX_FLIGHTS {
        registry.join(SessionId::new(random::ordered_uuid()), NOW).unwrap();
    }
    let beyond = registry.ask(SessionId::new(random::ordered_uuid()), NOW).await;
    assert_eq!(beyond.err(), Some(StatusUnavailable));
}

#[tokio::test]
async fn a_flood_of_unknown_sessions_does_not_drive_out_known_ones() {
    let (_directory, store) = sample::open().await;
    let registry = hearing(&store);
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    registry.ask(session, NOW).await.unwrap();
    for _ in 0..3 * ABSENT_CAPACITY {
        let unknown = SessionId::new(random::ordered_uuid());
        let (_sender, answer) = watch::channel(None);
        let number = registry.0.lock().start(unknown, answer);
        registry.0.insert(unknown, number, None, NOW);
    }
    assert!(registry.0.absent.len() <= ABSENT_CAPACITY * 2);
    assert!(is_active(known(&registry, session, NOW).as_ref()));
}

#[tokio::test]
async fn what_cannot_be_known_is_refused() {
    let (_directory, store) = sample::open().await;
    let registry = hearing(&store);
    store.close().await;
    let asked = registry.ask(SessionId::new(random::ordered_uuid()), NOW).await;
    assert_eq!(asked.err(), Some(StatusUnavailable));
}

#[tokio::test]
async fn a_revocation_that_overtakes_an_answer_wins() {
    let (_directory, store) = sample::open().await;
    let registry = hearing(&store);
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    let overtakes: [&dyn Fn(); 3] =
        [&|| registry.revoke(session), &|| registry.forget_user(user), &|| registry.clear()];
    for overtake in overtakes {
        let (_sender, answer) = watch::channel(None);
        let number = registry.0.lock().start(session, answer);
        let found = find(&store, session, NOW).await.unwrap();
        assert!(found.is_some());
        overtake();
        assert!(registry.0.insert(session, number, found, NOW).is_none());
        assert!(known(&registry, session, NOW).is_none());
        registry.0.lock().end(session, number);
    }
    let other = sample::user(&store, "bob").await;
    let (_sender, answer) = watch::channel(None);
    let number = registry.0.lock().start(session, answer);
    let found = find(&store, session, NOW).await.unwrap();
    registry.forget_user(other);
    assert!(registry.0.insert(session, number, found, NOW).is_some(), "another user's change");
    assert!(
        registry.0.lock().find(session).is_none(),
        "decided: nobody joins it after a revocation"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_revocation_returns_nobody_is_let_in() {
    let (_directory, store) = sample::open().await;
    let registry = hearing(&store);
    let user = sample::user(&store, "alice").await;
    for _ in 0..100 {
        let session = sample::session(&store, user, NOW.plus(DAY)).await;
        let askers: Vec<_> = (0..8)
            .map(|_| {
                let registry = registry.clone();
                tokio::spawn(async move {
                    while is_active(Some(&registry.ask(session, NOW).await.unwrap())) {
                        registry.heard(Instant::now());
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        sample::revoke(&store, session).await;
        registry.revoke(session);
        assert!(!is_active(known(&registry, session, NOW).as_ref()));
        assert!(is_inactive(Some(&registry.ask(session, NOW).await.unwrap())));
        for asker in askers {
            asker.await.unwrap();
        }
        assert!(!is_active(known(&registry, session, NOW).as_ref()));
    }
}
