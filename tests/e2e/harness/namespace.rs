//! A network of its own for one gateway: one wire to its callers, and one to what it stores in, which can be cut.

use std::hash::{BuildHasher as _, RandomState};
use std::process::{Command, Output};

/// A network namespace of the system; it ends with this value.
pub struct Namespace {
    pub name: String,
    number: u64,
}

impl Namespace {
    /// `None` where this process may not make one, after it has said why.
    pub fn create() -> Option<Self> {
        let number = RandomState::new().hash_one(0) % 250 + 1;
        let namespace = Self { name: format!("guarita-{number}"), number };
        match ip(&["netns", "add", &namespace.name]) {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                std::mem::forget(namespace);
                eprintln!("SKIPPED: no network namespace can be made: {}", why.trim());
                return None;
            }
            Err(error) => {
                std::mem::forget(namespace);
                eprintln!("SKIPPED: ip (iproute2) cannot be run: {error}");
                return None;
            }
        }
        must(&["-n", &namespace.name, "link", "set", "lo", "up"]);
        namespace.join("c", 213);
        namespace.join("s", 214);
        Some(namespace)
    }

    /// A wire between here and there, with the addresses .1 and .2.
    fn join(&self, wire: &str, net: u8) {
        let here = format!("gua{}{wire}", self.number);
        let address = |last: u8| format!("10.{net}.{}.{last}/30", self.number);
        let there = ["-n", &self.name];
        must(&["link", "add", &here, "type", "veth", "peer", "name", wire, "netns", &self.name]);
        must(&["addr", "add", &address(1), "dev", &here]);
        must(&["link", "set", &here, "up"]);
        must(&[&there[..], &["addr", "add", &address(2), "dev", wire]].concat());
        must(&[&there[..], &["link", "set", wire, "up"]].concat());
    }

    /// What stands within is called at this address.
    pub fn inside(&self) -> String {
        format!("10.213.{}.2", self.number)
    }

    /// Here, for what is called from within and stays in reach.
    pub fn near(&self) -> String {
        format!("10.213.{}.1", self.number)
    }

    /// Here, for what is called from within over the wire that can be cut.
    pub fn far(&self) -> String {
        format!("10.214.{}.1", self.number)
    }

    /// All that calls from within over that wire.
    pub fn far_callers(&self) -> String {
        format!("10.214.{}.0/30", self.number)
    }

    /// From now on nothing comes through, and nobody is told.
    pub fn cut(&self) {
        must(&["link", "set", &format!("gua{}s", self.number), "down"]);
    }

    pub fn mend(&self) {
        must(&["link", "set", &format!("gua{}s", self.number), "up"]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new("ip").args(arguments).output()
}

fn must(arguments: &[&str]) {
    let output = ip(arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
