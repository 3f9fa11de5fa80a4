//! Accounts: created, changed, disabled by an administrator.
