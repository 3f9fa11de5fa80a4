//! Limits on open connections, in total and per address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Counts open connections. IPv6 addresses are counted by /64, because a client has at least that many addresses.
#[derive(Debug, Default)]
pub struct ConnectionLimiter {
    open: Mutex<OpenConnections>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct OpenConnections {
    all: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// Why a connection is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionLimitReached {
    /// `limits.connections` are open.
    All,
    /// `limits.connections_per_address` are open from this address.
    Address,
}

impl ConnectionLimitReached {
    /// The label in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "connections",
            Self::Address => "connections_per_address",
        }
    }
}

/// The permit of one open connection; released when dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    admission: Arc<ConnectionLimiter>,
    network: IpAddr,
}

impl ConnectionLimiter {
    /// A permit for a connection from `address`, or why there is none.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        address: IpAddr,
        most: usize,
        most_per_address: usize,
    ) -> Result<ConnectionPermit, ConnectionLimitReached> {
        let network = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= most {
            return Err(ConnectionLimitReached::All);
        }
        let here = open.by_network.entry(network).or_default();
        if *here >= most_per_address {
            return Err(ConnectionLimitReached::Address);
        }
        *here += 1;
        open.all += 1;
        Ok(ConnectionPermit { admission: Arc::clone(self), network })
    }

    /// Returns when no connection is open.
    pub async fn wait_until_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// The number of open connections.
    pub fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        if let Some(here) = open.by_network.get_mut(&self.network) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                open.by_network.remove(&self.network);
            }
        }
        if open.all == 0 {
            self.admission.emptied.notify_waiters();
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places_and_gives_its_own_back() {
        let admission = Arc::new(ConnectionLimiter::default());
        let greedy: IpAddr = "192.0.2.1".parse().unwrap();
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        let first = admission.acquire(greedy, 3, 2).unwrap();
        let second = admission.acquire(greedy, 3, 2).unwrap();
        assert_eq!(admission.acquire(greedy, 3, 2).unwrap_err(), ConnectionLimitReached::Address);
        let third = admission.acquire(other, 3, 2).unwrap();
        assert_eq!(admission.acquire(other, 3, 2).unwrap_err(), ConnectionLimitReached::All);
        drop(first);
        assert!(admission.acquire(greedy, 3, 2).is_ok());
        drop((second, third));
        assert_eq!(admission.open(), 0);
        assert!(admission.open.lock().unwrap().by_network.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let admission = Arc::new(ConnectionLimiter::default());
        let _place = admission.acquire("2001:db8::1".parse().unwrap(), 9, 1).unwrap();
        assert_eq!(
            admission.acquire("2001:db8::ffff:2".parse().unwrap(), 9, 1).unwrap_err(),
            ConnectionLimitReached::Address
        );
        assert!(admission.acquire("2001:db8:0:1::1".parse().unwrap(), 9, 1).is_ok());
    }
}
