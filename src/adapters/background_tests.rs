use std::sync::mpsc;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);
const FOR_EVER: Patience = Patience { busy: HOUR, niceness: 0, quiet: HOUR };

type Held = Box<dyn Fn(&mut ()) -> usize + Send + Sync>;

/// A job that waits to be let go, and what lets it.
fn gate() -> (Held, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let times = AtomicUsize::new(0);
    let work = move |(): &mut ()| {
        let time = times.fetch_add(1, Ordering::AcqRel);
        // Only the first is held up.
        if time == 0 {
            let _ = wait.lock().unwrap().recv();
        }
        time
    };
    (Box::new(work), go)
}

#[tokio::test]
async fn a_full_pool_refuses_at_once_and_recovers() {
    let pool = Pool::start("test", 1, 1, FOR_EVER).unwrap();
    let (held, go) = gate();
    let (one, two) = (pool.run(held), pool.run(|()| 7));
    tokio::pin!(one, two);
    std::future::poll_fn(|context| {
        assert!(one.as_mut().poll(context).is_pending());
        assert!(two.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    assert_eq!(pool.run(|()| 7).await, Err(Busy));
    go.send(()).unwrap();
    assert_eq!((one.await, two.await), (Ok(0), Ok(7)));
    assert_eq!(pool.run(|()| 7).await, Ok(7));
}

/// As a thread does that is never heard of again.
fn begin_one(shared: &Shared<()>) {
    let mut state = shared.lock();
    let begun = state.waiting.pop_front();
    state.begun.extend(begun);
}

#[tokio::test]
async fn what_does_not_get_on_is_done_by_another_thread() {
    let soon = Duration::from_millis(5);
    // This process does nothing but wait.
    for quiet_only in [false, true] {
        // The threads that yield never come to their turn here.
        let pool =
            Pool { shared: Arc::new(Shared::new()), inside: AtomicUsize::new(0), capacity: 2 };
        let (one, two) = (pool.run(|()| 7), pool.run(|()| 8));
        tokio::pin!(one, two);
        std::future::poll_fn(|context| {
            assert!(one.as_mut().poll(context).is_pending());
            assert!(two.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        begin_one(&pool.shared);
        let relief = Arc::clone(&pool.shared);
        spawn("test", move || relief.relieve(soon, quiet_only)).unwrap();
        assert_eq!((one.await, two.await), (Ok(7), Ok(8)));
    }
}

#[tokio::test]
async fn nothing_is_computed_for_who_went_away() {
    let pool = Pool::start("test", 1, 10, FOR_EVER).unwrap();
    let (held, go) = gate();
    let one = pool.run(held);
    tokio::pin!(one);
    let computed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&computed);
    let mut left = Box::pin(pool.run(move |()| counted.fetch_add(1, Ordering::AcqRel)));
    std::future::poll_fn(|context| {
        assert!(one.as_mut().poll(context).is_pending());
        assert!(left.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(left);
    go.send(()).unwrap();
    assert_eq!(one.await, Ok(0));
    assert_eq!(pool.run(|()| 7).await, Ok(7));
    assert_eq!(computed.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn those_who_went_away_take_no_turn() {
    let pool = Pool { shared: Arc::new(Shared::new()), inside: AtomicUsize::new(0), capacity: 99 };
    let mut left: Vec<_> = (0..50).map(|_| Box::pin(pool.run(|()| 0))).collect();
    let stays = pool.run(|()| 7);
    tokio::pin!(stays);
    std::future::poll_fn(|context| {
        assert!(left.iter_mut().all(|gone| gone.as_mut().poll(context).is_pending()));
        assert!(stays.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(left);
    let relief = Arc::clone(&pool.shared);
    // One turn, and no second within the test.
    let began = Instant::now();
    spawn("test", move || relief.relieve(Duration::from_millis(400), false)).unwrap();
    assert_eq!(stays.await, Ok(7));
    assert!(began.elapsed() < LONGEST_WAIT);
}
