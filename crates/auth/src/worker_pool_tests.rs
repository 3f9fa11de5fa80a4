use std::future::poll_fn;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::Poll;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);
const FOR_EVER: QueueTimeouts =
    QueueTimeouts { busy: HOUR, niceness: 0, quiet: HOUR, answer: HOUR };

type Held = Box<dyn Fn(&mut ()) -> usize + Send + Sync>;

/// A pool whose threads never come to their turn.
fn without_threads(capacity: usize) -> WorkerPool<()> {
    let (shared, inside) = (Arc::new(SharedPool::new()), AtomicUsize::new(0));
    WorkerPool { shared, inside, capacity, longest_wait: HOUR }
}

/// Asks, and leaves the answer for later.
async fn ask<F: Future>(question: F) -> Pin<Box<F>> {
    let mut question = Box::pin(question);
    poll_fn(|context| {
        assert!(question.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    question
}

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
    let pool = WorkerPool::start("test", 1, 1, FOR_EVER).unwrap();
    let (held, go) = gate();
    let (one, two) = (ask(pool.run(held)).await, ask(pool.run(|()| 7)).await);
    assert_eq!(pool.run(|()| 7).await, Err(Busy));
    go.send(()).unwrap();
    assert_eq!((one.await, two.await), (Ok(0), Ok(7)));
    assert_eq!(pool.run(|()| 7).await, Ok(7));
}

/// As a thread does that is never heard of again.
fn begin_one(shared: &SharedPool<()>) {
    let mut state = shared.lock();
    let begun = state.waiting.pop_front();
    state.begun.extend(begun);
}

#[tokio::test]
async fn what_does_not_get_on_is_done_by_another_thread() {
    let soon = Duration::from_millis(5);
    // This process does nothing but wait.
    for quiet_only in [false, true] {
        let pool = without_threads(2);
        let (one, two) = (ask(pool.run(|()| 7)).await, ask(pool.run(|()| 8)).await);
        begin_one(&pool.shared);
        let relief = Arc::clone(&pool.shared);
        spawn("test", move || relief.run_overflow(soon, quiet_only)).unwrap();
        assert_eq!((one.await, two.await), (Ok(7), Ok(8)));
    }
}

#[tokio::test]
async fn nothing_is_computed_for_who_went_away() {
    let pool = WorkerPool::start("test", 1, 10, FOR_EVER).unwrap();
    let (held, go) = gate();
    let one = ask(pool.run(held)).await;
    let computed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&computed);
    drop(ask(pool.run(move |()| counted.fetch_add(1, Ordering::AcqRel))).await);
    go.send(()).unwrap();
    assert_eq!(one.await, Ok(0));
    assert_eq!(pool.run(|()| 7).await, Ok(7));
    assert_eq!(computed.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn those_who_went_away_take_no_turn() {
    let pool = without_threads(99);
    let mut left = Vec::new();
    for _ in 0..50 {
        left.push(ask(pool.run(|()| 0)).await);
    }
    let stays = ask(pool.run(|()| 7)).await;
    drop(left);
    let relief = Arc::clone(&pool.shared);
    // One turn, and no second within the test.
    let began = Instant::now();
    spawn("test", move || relief.run_overflow(Duration::from_millis(400), false)).unwrap();
    assert_eq!(stays.await, Ok(7));
    assert!(began.elapsed() < Duration::from_secs(15));
}
