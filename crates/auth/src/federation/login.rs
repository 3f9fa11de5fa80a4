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
    RedirectUrl, Scope,
};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::fetch::Fetcher;
use super::keys::is_https_or_internal;
use super::metadata::{IssuerMetadata, end_of_session, says_issuer};
use super::pending::{LoginCookieCodec, PendingCookie, PendingFederatedLogin};
use super::token_response::{CodeClient, Tokens};
use crate::federation::error::FetchError;
use crate::keys::Unopened;
use crate::snapshot::Provider;
use crate::snapshot::provider::{ProviderClient, ProviderSettings, Unverified};
use guarita_core::http::ReturnTo;
use guarita_core::jose::{IdTokenExpectations, Keyring, ProviderClaims};
use guarita_core::{Secret, Timestamp, random};
use guarita_telemetry::events::ProviderMetadataFailed;

/// How long a provider's metadata is cached.
const METADATA_TTL: Duration = Duration::from_secs(300);
/// Minimum time between two fetches of metadata.
const COOLDOWN: Duration = Duration::from_secs(1);
/// Maximum number of concurrent code exchanges.
const EXCHANGES: usize = 64;
/// Time-out of waiting for a code exchange.
const LONGEST_TURN: Duration = Duration::from_secs(2);
/// Maximum number of cached HTTP clients, one per set of CAs.
const MAX_FETCHERS: usize = 100;
/// Time-out of waiting for a fetch by another login.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Time-out at a logout.
const LOGOUT_PATIENCE: Duration = Duration::from_secs(3);
/// Maximum length of a code, state or issuer, in bytes.
const MAX_PARAMETER: usize = 2048;
/// The parameters of the callback.
#[derive(Debug)]
pub struct Callback {
    /// `code`
    pub code: Secret,
    /// `state`
    pub state: Secret,
    /// `iss` (RFC 9207), if present.
    pub issuer: Option<String>,
}

/// The user authenticated by a provider.
#[derive(Debug)]
pub struct VerifiedIdToken {
    /// The claims of the ID token.
    pub claims: ProviderClaims,
    /// Where to redirect the browser.
    pub return_to: Option<ReturnTo>,
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum FederatedLoginError {
    /// Login with this provider is not configured.
    #[error("the provider has no client_id")]
    NoClient,
    /// There is no such pending login: unknown, used, expired, or of another browser.
    #[error("there is no such pending login")]
    Unknown,
    /// The provider's response is invalid.
    #[error("the provider's response is invalid: {0}")]
    Refused(String),
    /// The provider is unavailable, or an internal fault.
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

/// A started login.
#[derive(Debug)]
pub struct Started {
    /// Where to redirect the browser.
    pub target: String,
    /// The cookie to set.
    pub kept: PendingCookie,
}

/// Cached metadata of a provider, and when a fetch was last tried. Locked during a fetch, so that all logins wait
/// for the same one.
#[derive(Debug, Default)]
struct CachedMetadata {
    metadata: Option<Arc<IssuerMetadata>>,
    tried_at: Option<Instant>,
}

/// Login with providers.
#[derive(Debug)]
pub struct ProviderLogin {
    keeping: LoginCookieCodec,
    /// Metadata by issuer, one entry per provider.
    metadata: Mutex<HashMap<Box<str>, Arc<tokio::sync::Mutex<CachedMetadata>>>>,
    /// HTTP clients by their CAs.
    fetchers: Mutex<HashMap<Option<Vec<u8>>, Fetcher>>,
    exchanges: Semaphore,
    public_url: Box<str>,
}

impl ProviderLogin {
    /// Creates it for callbacks at this origin.
    pub fn new(public_url: Box<str>) -> Self {
        Self {
            keeping: LoginCookieCodec::default(),
            metadata: Mutex::default(),
            fetchers: Mutex::default(),
            exchanges: Semaphore::new(EXCHANGES),
            public_url,
        }
    }

    /// Starts a login: the URL of the provider, and the cookie to set, which is encrypted with a key derived from the
    /// keyring.
    ///
    /// # Errors
    /// Why the login cannot be started.
    pub async fn start(
        &self,
        provider: &Provider,
        return_to: Option<ReturnTo>,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<Started, FederatedLoginError> {
        let settings = provider.settings();
        let client = settings.client.as_ref().ok_or(FederatedLoginError::NoClient)?;
        let metadata = self.metadata(settings).await?;
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
        let kept = self.keeping.seal(&state, &settings.name, &pending, keyring, now)?;
        Ok(Started { target: url.into(), kept })
    }

    /// Completes a login, once. `kept` is the cookie of the browser that started it.
    ///
    /// # Errors
    /// Why the login failed.
    pub async fn finish(
        &self,
        provider: &Provider,
        kept: &str,
        callback: Callback,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<VerifiedIdToken, FederatedLoginError> {
        let settings = provider.settings();
        let client = settings.client.as_ref().ok_or(FederatedLoginError::NoClient)?;
        let long =
            [&callback.code, &callback.state].iter().any(|it| it.expose().len() > MAX_PARAMETER);
        if long {
            return Err(FederatedLoginError::Unknown);
        }
        let pending = self.keeping.open(&callback.state, &settings.name, kept, keyring, now);
        let pending = pending.ok_or(FederatedLoginError::Unknown)?;
        let issuer = &*settings.expected.token.issuer;
        let said = callback.issuer.as_deref();
        if said.is_some_and(|said| said != issuer) {
            return Err(FederatedLoginError::Refused(
                "the response is of another issuer (RFC 9207)".into(),
            ));
        }
        let metadata = self.metadata(settings).await?;
        // Whose answers all say it, those that do not are not its own (RFC 9207 section 2.4).
        if said.is_none() && says_issuer(&metadata) {
            return Err(FederatedLoginError::Refused(
                "the response has no iss parameter (RFC 9207)".into(),
            ));
        }
        let tokens = self.exchange(settings, client, &metadata, &callback.code, &pending).await?;
        let expected = IdTokenExpectations {
            provider: &settings.expected,
            client_id: &client.id,
            nonce: &pending.nonce,
            access_token: &tokens.access_token,
        };
        let claims = provider.verify_id_token(tokens.id_token.expose(), expected, now).await;
        let claims = claims.map_err(|unverified| match unverified {
            Unverified::Invalid(reason) => {
                FederatedLoginError::Refused(format!("the ID token is invalid: {reason}"))
            }
            Unverified::Unknowable => {
                FederatedLoginError::Unavailable("its keys could not be fetched".into())
            }
        })?;
        Ok(VerifiedIdToken { claims, return_to: pending.return_to })
    }

    /// The URL to sign out at the provider as this subject and to return to `/login`; [`None`] if the provider has no
    /// end session endpoint, or does not respond in time.
    pub async fn logout_target(
        &self,
        provider: &Provider,
        subject: Option<&str>,
    ) -> Option<String> {
        let settings = provider.settings();
        let client = settings.client.as_ref().filter(|client| client.logout)?;
        let metadata = timeout(LOGOUT_PATIENCE, self.metadata(settings)).await.ok()?.ok()?;
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
    ) -> Result<Tokens, FederatedLoginError> {
        let oidc = CodeClient::from_provider_metadata(
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
        answer.into_tokens().ok_or_else(|| FederatedLoginError::Refused("no ID token".into()))
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
        if let (Some(metadata), Some(age)) = (&known.metadata, age)
            && age < METADATA_TTL
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
            (Err(error), Some(before)) => {
                let provider = &*settings.name;
                ProviderMetadataFailed { provider, error }.emit();
                Ok(Arc::clone(before))
            }
            (Err(error), None) => Err(FederatedLoginError::Unavailable(error.to_string())),
        }
    }

    /// The limited HTTP client for the library. It does not connect deeper into the internal network than the issuer.
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

    /// Created once per set of CAs.
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
