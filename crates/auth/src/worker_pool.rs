//! The worker pool for CPU-intensive work that must not delay forwarded requests: password hashes and token
//! signatures. Its threads use idle CPU time only (`SCHED_IDLE`). If there is none, two more threads run the
//! oldest jobs: one with a low weight and, if other processes occupy the cores, one with normal priority. So
//! logins may be delayed, but not indefinitely.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The time-outs of a pool, and after which time without progress another thread runs a job.
#[derive(Debug, Clone, Copy)]
pub struct QueueTimeouts {
    /// While this process is busy; its traffic has priority.
    pub busy: Duration,
    /// The nice value of that thread: 19 gets a sixtieth of a core beside one other thread, 5 a quarter.
    pub niceness: i32,
    /// While this process is idle, and others occupy the cores.
    pub quiet: Duration,
    /// Time-out of a job.
    pub answer: Duration,
}

/// The pool is full, or the job timed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// A job; it may be run again by another thread if the first one makes no progress.
struct Job<M> {
    number: u64,
    work: Box<Work<M>>,
}

/// Runs the job with the working memory of the thread; false if nobody waits for it any more.
type Work<M> = dyn Fn(&mut M) -> bool + Send + Sync;

struct PoolState<M> {
    waiting: VecDeque<Arc<Job<M>>>,
    /// Started by an idle-priority thread, and not by another one yet.
    begun: Vec<Arc<Job<M>>>,
    /// When a job was last finished, or was added to an empty pool.
    progress: Option<Instant>,
    next: u64,
    stop: bool,
}

impl<M> PoolState<M> {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.begun.is_empty()
    }

    /// How long no job was finished.
    fn stalled(&self) -> Duration {
        self.progress.map_or(Duration::ZERO, |progress| progress.elapsed())
    }

    fn oldest(&mut self) -> Option<Arc<Job<M>>> {
        if self.begun.is_empty() { self.waiting.pop_front() } else { Some(self.begun.remove(0)) }
    }
}

struct SharedPool<M> {
    state: Mutex<PoolState<M>>,
    wake: Condvar,
}

/// A bounded worker pool. Each thread keeps its working memory between jobs, and drops it when the queue is empty.
pub struct WorkerPool<M> {
    shared: Arc<SharedPool<M>>,
    /// Number of running and waiting jobs.
    inside: AtomicUsize,
    capacity: usize,
    longest_wait: Duration,
}

impl<M> std::fmt::Debug for WorkerPool<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pool").field("inside", &self.inside).finish_non_exhaustive()
    }
}

impl<M: Default + 'static> WorkerPool<M> {
    /// Starts threads with this name; at most `queue` jobs can wait.
    pub fn start(
        name: &'static str,
        threads: usize,
        queue: usize,
        patience: QueueTimeouts,
    ) -> io::Result<Self> {
        let shared = Arc::new(SharedPool::new());
        for _ in 0..threads {
            let shared = Arc::clone(&shared);
            spawn(name, move || {
                lower_priority(Share::Rest);
                shared.serve();
            })?;
        }
        let reliefs = [(patience.busy, patience.niceness, false), (patience.quiet, 0, true)];
        for (after, niceness, quiet_only) in reliefs {
            let relief = Arc::clone(&shared);
            spawn(name, move || {
                lower_priority(Share::Nice(niceness));
                relief.run_overflow(after, quiet_only);
            })?;
        }
        Ok(Self {
            shared,
            inside: AtomicUsize::new(0),
            capacity: threads.saturating_add(queue),
            longest_wait: patience.answer,
        })
    }

    /// Runs a job on the pool. If the caller is cancelled before the job starts, it is not run.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&mut M) -> T + Send + Sync + 'static,
    ) -> Result<T, Busy> {
        let _place = ActiveWorker::take(&self.inside, self.capacity).ok_or(Busy)?;
        let (sender, answer) = oneshot::channel();
        let sender = Mutex::new(Some(sender));
        self.shared.submit(Box::new(move |memory: &mut M| {
            let lock = || sender.lock().unwrap_or_else(PoisonError::into_inner);
            if lock().as_ref().is_none_or(oneshot::Sender::is_closed) {
                return false;
            }
            let result = work(memory);
            if let Some(sender) = lock().take() {
                // Whoever asked may have gone.
                drop(sender.send(result));
            }
            true
        }));
        timeout(self.longest_wait, answer).await.ok().and_then(Result::ok).ok_or(Busy)
    }
}

impl<M> Drop for WorkerPool<M> {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_all();
    }
}

impl<M> SharedPool<M> {
    fn lock(&self) -> MutexGuard<'_, PoolState<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, work: Box<Work<M>>) {
        let mut state = self.lock();
        if state.is_idle() {
            state.progress = Some(Instant::now());
        }
        state.next += 1;
        let job = Arc::new(Job { number: state.next, work });
        state.waiting.push_back(job);
        drop(state);
        self.wake.notify_all();
    }
}

impl<M: Default> SharedPool<M> {
    fn new() -> Self {
        let state = PoolState {
            waiting: VecDeque::new(),
            begun: Vec::new(),
            progress: None,
            next: 0,
            stop: false,
        };
        Self { state: Mutex::new(state), wake: Condvar::new() }
    }

    /// Runs jobs.
    fn serve(&self) {
        let mut memory = None;
        let mut state = self.lock();
        while !state.stop {
            let Some(job) = state.waiting.pop_front() else {
                if memory.is_some() {
                    drop(state);
                    memory = None;
                    state = self.lock();
                    continue;
                }
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.begun.push(Arc::clone(&job));
            drop(state);
            (job.work)(memory.get_or_insert_default());
            state = self.lock();
            state.begun.retain(|begun| begun.number != job.number);
            state.progress = Some(Instant::now());
        }
    }

    /// Runs the oldest job whenever none was finished for this time; with `quiet_only` unless this process is busy.
    fn run_overflow(&self, after: Duration, quiet_only: bool) {
        let mut state = self.lock();
        let mut memory = None;
        let mut window = Window::open();
        while !state.stop {
            if state.is_idle() {
                memory = None;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                window = Window::open();
                continue;
            }
            let woken = self.wake.wait_timeout(state, after);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            let Some(busy) = window.measure_load(after) else { continue };
            if state.stalled() < after || (busy && quiet_only) {
                continue;
            }
            // Those whom nobody waits for any more take no turn.
            while let Some(job) = state.oldest() {
                drop(state);
                let done = (job.work)(memory.get_or_insert_default());
                state = self.lock();
                if done {
                    break;
                }
            }
            window = Window::open();
            if !quiet_only {
                // Traffic has its turn before the next.
                state.progress = Some(Instant::now());
            }
        }
    }
}

/// A time window in which the load of this process is measured.
struct Window {
    opened: Instant,
    used: Duration,
}

impl Window {
    fn open() -> Self {
        Self { opened: Instant::now(), used: used(ClockId::ProcessCPUTime) }
    }

    /// After this time: whether half of a core was used, and a new window.
    fn measure_load(&mut self, length: Duration) -> Option<bool> {
        let elapsed = self.opened.elapsed();
        if elapsed < length {
            return None;
        }
        let next = Self::open();
        let busy = next.used.saturating_sub(self.used) * 2 >= elapsed;
        *self = next;
        Some(busy)
    }
}

/// CPU time of this process or this thread.
pub fn used(of: ClockId) -> Duration {
    let time = clock_gettime(of);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(|_| ())
}

/// The scheduling of a thread.
#[derive(Clone, Copy)]
enum Share {
    /// Idle CPU time only.
    Rest,
    /// A lower weight.
    Nice(i32),
}

/// Lowers the priority of this thread.
#[cfg(target_os = "linux")]
fn lower_priority(share: Share) {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let given = match share {
        Share::Rest => {
            let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
            set.map_err(|error| format!("{error:?}"))
        }
        // On Linux a thread is nice for itself alone.
        Share::Nice(niceness) => {
            rustix::process::nice(niceness).map(|_| ()).map_err(|error| error.to_string())
        }
    };
    if let Err(error) = given {
        tracing::debug!(%error, "the priority of a background thread could not be lowered");
    }
}

#[cfg(not(target_os = "linux"))]
fn lower_priority(_share: Share) {}

/// A slot of the pool, released when dropped.
struct ActiveWorker<'a>(&'a AtomicUsize);

impl<'a> ActiveWorker<'a> {
    fn take(inside: &'a AtomicUsize, capacity: usize) -> Option<Self> {
        let before = inside.fetch_add(1, Ordering::AcqRel);
        let place = Self(inside);
        (before < capacity).then_some(place)
    }
}

impl Drop for ActiveWorker<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
#[path = "worker_pool_tests.rs"]
mod tests;
