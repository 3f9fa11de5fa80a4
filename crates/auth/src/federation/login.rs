//! Login with a provider (OpenID Connect Core 1.0, authorization code flow) with PKCE (RFC 7636),
//! state, nonce and the issuer check of RFC 9207.
//!
//! The state of a pending login is kept by the browser that started it ([`super::pending`]): another browser
//! cannot complete it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openidconnect::core::{CoreAuthenticationFlow, CoreClient};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, IssuerUrl,
    LogoutHint, LogoutRequest, Nonce, PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl,
    RedirectUrl, Scope, TokenResponse as _,
};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::fetch::Fetcher;
use super::id_token::verify;
use super::keys::{FetchError, is_https_or_internal};
use super::metadata::{IssuerMetadata, end_of_session, says_issuer};
use super::pending::{LoginCookieCodec, PendingCookie, PendingFederatedLogin};
use crate::keys::Unopened;
use crate::snapshot::Provider;
use crate::snapshot::provider::{ProviderClient, ProviderSettings};
use guarita_core::http::ReturnTo;
use guarita_core::jose::{Keyring, ProviderClaims, read_id_token};
use guarita_core::{Secret, Timestamp, random};

/// How long a provider's metadata is used before it is fetched again.
const METADATA_TTL: Duration = Duration::from_secs(300);
/// Least time between two fetches of it, whatever people do.
const COOLDOWN: Duration = Duration::from_secs(1);
/// Codes that are exchanged at once.
const EXCHANGES: usize = 64;
/// Longest wait for a turn to exchange one.
const LONGEST_TURN: Duration = Duration::from_secs(2);
/// Most sets of CAs that a client is kept for.
const MAX_FETCHERS: usize = 100;
/// Longest wait for a fetch that another login began.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait of somebody who signs out.
const LOGOUT_PATIENCE: Duration = Duration::from_secs(3);
/// Longest code, state or issuer that is looked at, in bytes.
const MAX_PARAMETER: usize = 2048;
/// What came back.
#[derive(Debug)]
pub struct Callback {
    /// `code`
    pub code: Secret,
    /// `state`
    pub state: Secret,
    /// `iss` (RFC 9207), where there is one.
    pub issuer: Option<String>,
}

/// Whom a provider vouches for.
#[derive(Debug)]
pub struct VerifiedIdToken {
    /// What its ID token says.
    pub claims: ProviderClaims,
    /// Where the person wanted to go.
    pub return_to: Option<ReturnTo>,
}

/// Why a login did not begin or end.
#[derive(Debug, thiserror::Error)]
pub enum FederatedLoginError {
    /// The provider's people do not log in here.
    #[error("the provider has no client_id")]
    NoClient,
    /// Nothing waits for it: unknown, used, too late, or another browser's.
    #[error("there is no such pending login")]
    Unknown,
    /// The provider said something that does not hold.
    #[error("the provider's response is invalid: {0}")]
    Refused(String),
    /// The provider cannot be asked, or something of ours is missing.
    #[error("the provider is unavailable: {0}")]
    Unavailable(String),
}

impl From<FetchError> for FederatedLoginError {
    fn from(fault: FetchError) -> Self {
        Self::Unavailable(fault.to_string())
    }
}

impl From<random::RandomFault> for FederatedLoginError {
    fn from(fault: random::RandomFault) -> Self {
        Self::Unavailable(fault.to_string())
    }
}

impl From<Unopened> for FederatedLoginError {
    fn from(fault: Unopened) -> Self {
        Self::Unavailable(fault.to_string())
    }
}

/// A login that began.
#[derive(Debug)]
pub struct Started {
    /// Where the browser goes.
    pub target: String,
    /// What it keeps until it is back.
    pub kept: PendingCookie,
}

/// Metadata of a provider, and when it was fetched or tried to be. Held while it is fetched, so that all
/// who need it wait for one fetch.
#[derive(Debug, Default)]
struct CachedMetadata {
    metadata: Option<Arc<IssuerMetadata>>,
    tried_at: Option<Instant>,
}

/// Logins through providers.
#[derive(Debug)]
pub struct ProviderLogin {
    keeping: LoginCookieCodec,
    /// By issuer; as many as there are providers.
    metadata: Mutex<HashMap<Box<str>, Arc<tokio::sync::Mutex<CachedMetadata>>>>,
    /// By their CAs.
    fetchers: Mutex<HashMap<Option<Vec<u8>>, Fetcher>>,
    exchanges: Semaphore,
    public_url: Box<str>,
}

impl ProviderLogin {
    /// For callbacks at this origin. What browsers keep is sealed under the keyring in force.
    pub fn new(
        public_url: Box<str>,
        keyring: impl Fn() -> Arc<Keyring> + Send + Sync + 'static,
    ) -> Self {
        Self {
            keeping: LoginCookieCodec::new(keyring),
            metadata: Mutex::default(),
            fetchers: Mutex::default(),
            exchanges: Semaphore::new(EXCHANGES),
            public_url,
        }
    }

    /// Where a browser goes to log in at the provider, and what it keeps until it is back.
    ///
    /// # Errors
    /// Why not.
    pub async fn start(
        &self,
        provider: &Provider,
        return_to: Option<ReturnTo>,
        now: Timestamp,
    ) -> Result<Started, FederatedLoginError> {
        let settings = provider.settings();
        let client = settings.client.as_ref().ok_or(FederatedLoginError::NoClient)?;
        let metadata = self.metadata(settings, false).await?;
        let redirect = self.redirect_uri(settings)?;
        let oidc = CoreClient::from_provider_metadata(
            (*metadata).clone(),
            ClientId::new(client.id.to_string()),
            None,
        )
        .set_redirect_uri(redirect);
        let (state, nonce) = (random::token()?, random::token()?);
        let verifier = random::token()?;
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(
            verifier.expose().into(),
        ));
        let (said_state, said_nonce) = (state.expose().to_owned(), nonce.expose().to_owned());
        let mut request = oidc
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(said_state),
                move || Nonce::new(said_nonce),
            )
            .set_pkce_challenge(challenge);
        // `openid` is there already.
        for scope in client.scopes.iter().filter(|scope| &***scope != "openid") {
            request = request.add_scope(Scope::new(scope.to_string()));
        }
        let (url, _, _) = request.url();
        if !is_https_or_internal(url.as_str(), &settings.expected.token.issuer) {
            return Err(FetchError::Url.into());
        }
        let pending = PendingFederatedLogin { nonce, verifier, return_to };
        let kept = self.keeping.seal(&state, &settings.name, &pending, now)?;
        Ok(Started { target: url.into(), kept })
    }

    /// Whom the provider vouches for, once per login. `kept` is what the browser that began it brought back.
    ///
    /// # Errors
    /// Why nobody is.
    pub async fn finish(
        &self,
        provider: &Provider,
        kept: &str,
        callback: Callback,
        now: Timestamp,
    ) -> Result<VerifiedIdToken, FederatedLoginError> {
        let settings = provider.settings();
        let client = settings.client.as_ref().ok_or(FederatedLoginError::NoClient)?;
        let long =
            [&callback.code, &callback.state].iter().any(|it| it.expose().len() > MAX_PARAMETER);
        if long {
            return Err(FederatedLoginError::Unknown);
        }
        let pending = self.keeping.open(&callback.state, &settings.name, kept, now);
        let pending = pending.ok_or(FederatedLoginError::Unknown)?;
        let issuer = &*settings.expected.token.issuer;
        let said = callback.issuer.as_deref();
        if said.is_some_and(|said| said != issuer) {
            return Err(FederatedLoginError::Refused(
                "the response is of another issuer (RFC 9207)".into(),
            ));
        }
        let metadata = self.metadata(settings, false).await?;
        // Whose answers all say it, those that do not are not its own (RFC 9207 section 2.4).
        if said.is_none() && says_issuer(&metadata) {
            return Err(FederatedLoginError::Refused(
                "the response has no iss parameter (RFC 9207)".into(),
            ));
        }
        let token = self.exchange(settings, client, &metadata, &callback.code, &pending).await?;
        if verify(&metadata, client, &token, &pending.nonce).is_err() {
            // Its keys may have changed since.
            let fresh = self.metadata(settings, true).await?;
            verify(&fresh, client, &token, &pending.nonce).map_err(FederatedLoginError::Refused)?;
        }
        let claims = read_id_token(&token.to_string(), &settings.expected, &client.id, now);
        let claims = claims.map_err(|reason| FederatedLoginError::Refused(reason.to_string()))?;
        Ok(VerifiedIdToken { claims, return_to: pending.return_to })
    }

    /// Where a browser goes to sign out at the provider too, as that subject, and then to come back to `/login`;
    /// `None` where the provider has no such place, or does not say it in time.
    pub async fn logout_target(
        &self,
        provider: &Provider,
        subject: Option<&str>,
    ) -> Option<String> {
        let settings = provider.settings();
        let client = settings.client.as_ref().filter(|client| client.logout)?;
        let metadata = timeout(LOGOUT_PATIENCE, self.metadata(settings, false)).await.ok()?.ok()?;
        let end = end_of_session(&metadata)?;
        if !is_https_or_internal(end.as_str(), &settings.expected.token.issuer) {
            return None;
        }
        let back = PostLogoutRedirectUrl::new(format!("{}/login", self.public_url)).ok()?;
        let request = LogoutRequest::from(end)
            .set_client_id(ClientId::new(client.id.to_string()))
            .set_post_logout_redirect_uri(back);
        let request = match subject {
            Some(subject) => request.set_logout_hint(LogoutHint::new(subject.to_owned())),
            None => request,
        };
        Some(request.http_get_url().into())
    }

    async fn exchange(
        &self,
        settings: &ProviderSettings,
        client: &ProviderClient,
        metadata: &IssuerMetadata,
        code: &Secret,
        pending: &PendingFederatedLogin,
    ) -> Result<openidconnect::core::CoreIdToken, FederatedLoginError> {
        let oidc = CoreClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(client.id.to_string()),
            client.secret.as_ref().map(|secret| ClientSecret::new(secret.expose().into())),
        )
        .set_redirect_uri(self.redirect_uri(settings)?);
        let turn = timeout(LONGEST_TURN, self.exchanges.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or_else(|| {
            FederatedLoginError::Unavailable("too many codes are being exchanged at once".into())
        })?;
        let http = self.http(settings).await?;
        let answer = oidc
            .exchange_code(AuthorizationCode::new(code.expose().into()))
            .map_err(|error| FederatedLoginError::Unavailable(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.expose().into()))
            .request_async(&http)
            .await;
        use openidconnect::RequestTokenError as E;
        let answer = answer.map_err(|error| match error {
            E::ServerResponse(said) => FederatedLoginError::Refused(format!("{}", said.error())),
            E::Request(fault) => FederatedLoginError::Unavailable(fault.to_string()),
            E::Parse(..) | E::Other(_) => FederatedLoginError::Refused("no token response".into()),
        })?;
        answer.id_token().cloned().ok_or_else(|| FederatedLoginError::Refused("no ID token".into()))
    }

    fn redirect_uri(
        &self,
        settings: &ProviderSettings,
    ) -> Result<RedirectUrl, FederatedLoginError> {
        let uri = format!("{}/auth/oidc/{}/callback", self.public_url, settings.name);
        RedirectUrl::new(uri).map_err(|error| FederatedLoginError::Unavailable(error.to_string()))
    }

    async fn metadata(
        &self,
        settings: &ProviderSettings,
        fresh: bool,
    ) -> Result<Arc<IssuerMetadata>, FederatedLoginError> {
        let issuer = &*settings.expected.token.issuer;
        let known = {
            let mut all = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(issuer.into()).or_default())
        };
        let waited = timeout(FETCH_TIMEOUT, known.lock()).await;
        let mut known = waited
            .map_err(|_| FederatedLoginError::Unavailable("it did not respond in time".into()))?;
        let age = known.tried_at.map(|tried| tried.elapsed());
        let longest = if fresh { COOLDOWN } else { METADATA_TTL };
        if let (Some(metadata), Some(age)) = (&known.metadata, age)
            && age < longest
        {
            return Ok(Arc::clone(metadata));
        }
        if age.is_some_and(|age| age < COOLDOWN) {
            return Err(FederatedLoginError::Unavailable(
                "a request for its metadata failed a moment ago".into(),
            ));
        }
        known.tried_at = Some(Instant::now());
        let url = IssuerUrl::new(issuer.to_owned())
            .map_err(|error| FederatedLoginError::Unavailable(error.to_string()))?;
        let http = self.http(settings).await?;
        match (IssuerMetadata::discover_async(url, &http).await, &known.metadata) {
            (Ok(metadata), _) => {
                let metadata = Arc::new(metadata);
                known.metadata = Some(Arc::clone(&metadata));
                Ok(metadata)
            }
            // What was said before is better than nothing.
            (Err(error), Some(before)) if !fresh => {
                let provider = &*settings.name;
                tracing::warn!(event = "provider.metadata.failed", provider, %error);
                Ok(Arc::clone(before))
            }
            (Err(error), _) => Err(FederatedLoginError::Unavailable(error.to_string())),
        }
    }

    /// Our bounded client, as the library calls it. Nothing leads deeper into our network than the issuer.
    async fn http(
        &self,
        settings: &ProviderSettings,
    ) -> Result<impl Fn(HttpRequest) -> Answering + use<>, FederatedLoginError> {
        let fetcher = self.fetcher(settings).await?;
        let issuer = settings.expected.token.issuer.to_string();
        Ok(move |request: HttpRequest| -> Answering {
            let (fetcher, issuer) = (fetcher.clone(), issuer.clone());
            Box::pin(async move {
                if !is_https_or_internal(&request.uri().to_string(), &issuer) {
                    return Err(FetchError::Url);
                }
                fetcher.send(request).await
            })
        })
    }

    /// Made once for a set of CAs.
    async fn fetcher(&self, settings: &ProviderSettings) -> Result<Fetcher, FederatedLoginError> {
        let ca = settings.published.as_ref().and_then(|published| published.ca.clone());
        let lock = || self.fetchers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&ca) {
            return Ok(known.clone());
        }
        let made = Fetcher::new(ca.clone()).await?;
        let mut all = lock();
        if all.len() >= MAX_FETCHERS {
            all.clear();
        }
        all.insert(ca, made.clone());
        Ok(made)
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send>>;
