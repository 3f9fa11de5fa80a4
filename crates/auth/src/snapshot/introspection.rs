//! The clients of token introspection: `INTROSPECTION_CLIENTS`, `INTROSPECTION_MTLS_ALLOWED_CNS`.

use std::collections::{HashMap, HashSet};

use subtle::{Choice, ConstantTimeEq as _};

use guarita_core::{Secret, SecretDigest};

/// A client and its secrets; two during a rotation.
#[derive(Clone, Debug)]
pub struct IntrospectionClient {
    /// 1 to 255 characters.
    pub id: Box<str>,
    /// One or two.
    pub secrets: Vec<Secret>,
}

/// The configured clients of introspection and revocation. Holds only the SHA-256 of their secrets.
#[derive(Clone, Debug, Default)]
pub struct IntrospectionClients {
    clients: HashMap<Box<str>, Vec<SecretDigest>>,
    common_names: HashSet<Box<str>>,
}

impl IntrospectionClients {
    /// Creates it from clients with secrets, and from the subject common names of client certificates.
    pub fn new(clients: Vec<IntrospectionClient>, common_names: Vec<Box<str>>) -> Self {
        let digests = |secrets: &[Secret]| -> Vec<SecretDigest> {
            secrets.iter().map(|secret| SecretDigest::of(secret.expose())).collect()
        };
        Self {
            clients: clients
                .into_iter()
                .map(|client| (client.id, digests(&client.secrets)))
                .collect(),
            common_names: common_names.into_iter().collect(),
        }
    }

    /// Whether this is the secret of the client. The check takes the same time for an unknown client.
    pub fn is_secret_of(&self, id: &str, secret: &str) -> bool {
        let presented = SecretDigest::of(secret);
        let nobody = [SecretDigest::of(""), SecretDigest::of("")];
        let known = self.clients.get(id);
        let against = known.map_or(nobody.as_slice(), Vec::as_slice);
        let same = against.iter().fold(Choice::from(0), |same, it| same | it.ct_eq(&presented));
        known.is_some() && bool::from(same)
    }

    /// Whether any certificate is accepted.
    pub fn takes_certificates(&self) -> bool {
        !self.common_names.is_empty()
    }

    /// Whether a verified certificate with this common name is accepted.
    pub fn is_common_name(&self, common_name: &str) -> bool {
        self.common_names.contains(common_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> IntrospectionClients {
        let secrets = |all: &[&str]| all.iter().map(|text| Secret::new(*text)).collect();
        let one = IntrospectionClient { id: "one".into(), secrets: secrets(&["first", "second"]) };
        let other = IntrospectionClient { id: "other".into(), secrets: secrets(&["third"]) };
        IntrospectionClients::new(vec![one, other], vec!["gateway".into()])
    }

    #[test]
    fn a_client_has_its_own_secrets_and_no_others() {
        let clients = clients();
        for (id, secret) in [("one", "first"), ("one", "second"), ("other", "third")] {
            assert!(clients.is_secret_of(id, secret), "{id} {secret}");
        }
        for (id, secret) in
            [("one", "third"), ("one", ""), ("other", "first"), ("nobody", ""), ("One", "first")]
        {
            assert!(!clients.is_secret_of(id, secret), "{id} {secret}");
        }
        assert!(!format!("{clients:?}").contains("first"));
    }

    #[test]
    fn a_common_name_is_compared_exactly() {
        let clients = clients();
        assert!(clients.is_common_name("gateway"));
        for name in ["Gateway", "gateway ", "", "one"] {
            assert!(!clients.is_common_name(name), "{name:?}");
        }
    }
}
