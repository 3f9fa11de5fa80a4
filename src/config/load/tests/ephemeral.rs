//! `store.redis` and what goes with it.

use super::*;
use guarita_kv::KvSettings;

fn told(text: &str) -> String {
    Place::new(&format!("{text}{LISTENER}")).problems().join("\n")
}

#[test]
fn rates_and_tickets_are_in_memory_until_redis_is_named() {
    let of = |text: &str| Place::new(&format!("{text}{LISTENER}")).load().result.unwrap().ephemeral;
    assert_eq!(of(""), KvSettings::Memory);
    assert_eq!(of("[store]\nredis = \"\"\n"), KvSettings::Memory);
    let KvSettings::Redis(redis) = of("[store]\nredis = \"redis://cache\"\n") else {
        panic!("not in Redis")
    };
    assert_eq!((&*redis.prefix, redis.timeout), ("guarita", Duration::from_millis(250)));
}

#[test]
fn what_cannot_be_meant_of_redis_is_told_without_its_password() {
    for (text, said) in [
        ("redis = \"http://u:hunter2@a\"", "store.redis: does not begin with a known scheme"),
        ("redis = \"redis://u:hunter2@a:0\"", "store.redis: has an invalid host or port"),
        ("redis = \"redis-cluster://u:hunter2@a/1\"", "store.redis: has a path"),
        ("redis = \"redis://a\"\nredis_file = \"x\"", "store.redis_file: is set twice"),
        ("redis_file = \"missing\"", "store.redis_file: missing cannot be read"),
        (
            "redis = \"rediss://a\"\nredis_ca = \"missing\"",
            "store.redis_ca: missing cannot be read",
        ),
        ("redis = \"redis://a\"\nredis_ca = \"guarita.toml\"", "store.redis_ca: has no effect"),
        ("redis_prefix = \"a:b\"", "store.redis_prefix: is not a valid prefix"),
        ("redis_prefix = \"\"", "store.redis_prefix: must be 1 to 64 bytes"),
        ("redis_timeout = \"9ms\"", "store.redis_timeout: must be 10ms to 10s"),
        ("redis_timeout = \"11s\"", "store.redis_timeout: must be 10ms to 10s"),
    ] {
        let told = told(&format!("[store]\n{text}\n"));
        assert!(told.contains(said) && !told.contains("hunter2"), "{text}: {told}");
    }
}
