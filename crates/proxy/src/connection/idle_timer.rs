//! A timer for idle time-outs: it is reset often and rarely fires.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Postponing it costs only a read of the clock: the underlying timer is moved only when it fires.
pub(crate) struct IdleTimer(Pin<Box<Sleep>>);

impl IdleTimer {
    /// Fires after this time.
    pub(crate) fn new(time: Duration) -> Self {
        Self(Box::pin(tokio::time::sleep(time)))
    }

    /// Restarts the timer with `time` from now.
    pub(crate) async fn after(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        loop {
            self.0.as_mut().await;
            if self.0.deadline() >= deadline {
                return;
            }
            self.0.as_mut().reset(deadline);
        }
    }

    /// Whether it has fired.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_when_it_was_last_set_to() {
        let began = Instant::now();
        let second = Duration::from_secs(1);
        let mut alarm = IdleTimer::new(second * 2);
        for _ in 0..5 {
            let rang = tokio::time::timeout(second, alarm.after(second * 2)).await;
            assert!(rang.is_err(), "it was set later");
        }
        alarm.after(second * 2).await;
        assert_eq!(began.elapsed().as_secs(), 7);
    }
}
