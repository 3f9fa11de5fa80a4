//! Entry points: proxy, own endpoints, ops listener.

pub mod endpoints;
pub mod ops;
pub mod proxy;
