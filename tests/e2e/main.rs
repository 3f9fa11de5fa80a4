//! Drives the real executable over sockets, one module per capability.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::wildcard_enum_match_arm,
    clippy::print_stderr,
    reason = "a test fails by panicking, and its harness with it"
)]

#[expect(
    dead_code,
    unreachable_pub,
    reason = "the harness can ask in more ways than the cases of today do"
)]
mod harness;
mod accounts;
mod answers;
mod api_keys;
mod assertion;
mod browser_sessions;
mod clients;
mod clocks;
mod cluster_revocation;
mod credential_order;
mod faults;
mod forward_auth;
mod identity_headers;
mod introspection;
mod introspection_reloads;
mod in_a_browser;
mod keys;
mod last_known;
mod login;
mod pages;
mod postgres;
mod provider_accounts;
mod provider_login;
mod provider_login_attacks;
mod provider_revocation;
mod providers;
mod query_plans;
mod mail;
mod network_faults;
mod operation;
mod recovery;
mod reload;
mod restarts;
mod routes;
mod second_factor;
mod security;
mod several_gateways;
mod sessions;
mod single_use;
mod streaming;
mod upstreams;
mod websockets;
mod websocket_endings;
