//! A provider without keys, for tests.

use std::collections::HashMap;
use std::time::Duration;

use super::ProviderSettings;
use guarita_core::jose::{ClaimPath, Expectations, ProviderExpectations};

pub fn settings() -> ProviderSettings {
    ProviderSettings {
        name: "idp".into(),
        expected: ProviderExpectations {
            token: Expectations {
                issuer: "https://idp.test".into(),
                audiences: vec!["api".into()],
                leeway: Duration::ZERO,
                max_length: 1 << 14,
            },
            token_type: None,
            required: Vec::new(),
            link_from: vec![ClaimPath::new("sub")],
            subject_from: ClaimPath::new("sub"),
            roles_from: Vec::new(),
            role_map: HashMap::new(),
            keep_unmapped: true,
        },
        secret: None,
        client: None,
        accounts: None,
        cookie_name: None,
        published: None,
    }
}
