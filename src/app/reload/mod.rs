//! Reload: watch, compile off the path, swap once.

pub mod compile;

pub use compile::compile;
/// x
#[derive(Debug)]
pub struct Actor;
impl Actor {
    /// x
    pub async fn run(self) {
        std::future::pending().await
    }
}
