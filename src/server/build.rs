//! Builds all components and connects them.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::status::StatusSampler;
use crate::config::Config;
use crate::config::values::Mode;
use crate::reload;
use crate::reload::Actor;
use guarita_auth::access::{Authenticator, Introspection, OpenedSessions};
use guarita_auth::account::{
    MailedLinks, Overviews, PasswordChange, PasswordPolicy, Recovery, Verification,
};
use guarita_auth::api_key;
use guarita_auth::assertion::Assertions;
use guarita_auth::client;
use guarita_auth::federation::{AccountLinker, ProviderLogin};
use guarita_auth::grant::{Issuer, Refresh};
use guarita_auth::keys;
use guarita_auth::login::{
    Challenge, Login, Passwords, SecondFactor, TotpEnrolment, UnknownAccounts,
};
use guarita_auth::mail::{MailRoute, Outbox, Sender};
use guarita_auth::rate_limit::RateLimiter;
use guarita_auth::session::{
    ChangeFeed, ExpiryCleanup, SessionCache, SessionRenewal, Sessions, WsTickets,
};
use guarita_core::time;
use guarita_kv::Ephemeral;
use guarita_mail::Smtp;
use guarita_proxy::Gateway;
use guarita_proxy::connection::serve::Service;
use guarita_proxy::exchange::bodyless;
use guarita_proxy::listener::accept::{AcceptingListener, Acceptor};
use guarita_proxy::listener::connection_limit::ConnectionLimiter;
use guarita_proxy::listener::inherited::{BoundSocket, Inherited};
use guarita_proxy::revocation::watcher::RevocationWatcher;
use guarita_proxy::revocation::{InFlightRequests, WebSocketLimiter};
use guarita_proxy::snapshot::CurrentSnapshot;
use guarita_store::Store;
use guarita_telemetry::events::Listening;
use guarita_telemetry::{Audit, Metrics, Telemetry};
use guarita_web as endpoints;
use guarita_web::ops::Readiness;

/// Maximum number of cached verified tokens.
const VERIFIED_TOKENS: usize = 65_536;
/// Maximum number of cached browser sessions.
const OPENED_SESSIONS: usize = 65_536;
/// Maximum number of cached assertions.
const ASSERTIONS: usize = 65_536;

/// Why the gateway cannot start; one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid; with all problems.
    #[error("{0}")]
    Configuration(crate::config::Problems),
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A socket was inherited, but no listener has its address.
    #[error("a socket on {0} was inherited, but no listener has that address")]
    LeftOver(SocketAddr),
    /// Another component could not be created.
    #[error("{part}: {cause}")]
    Part {
        /// The component.
        part: &'static str,
        /// Why.
        cause: String,
    },
}

impl StartError {
    pub(super) fn part(part: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> Self {
        move |cause| Self::Part { part, cause: cause.to_string() }
    }
}

/// The components of a running gateway.
pub(super) struct Components {
    pub(super) live: Arc<CurrentSnapshot>,
    pub(super) telemetry: Telemetry,
    pub(super) store: Store,
    pub(super) ephemeral: Ephemeral,
    pub(super) reload: Actor,
    pub(super) reload_handle: reload::Handle,
    pub(super) observer: StatusSampler,
    pub(super) revocation: RevocationWatcher,
    pub(super) feed: ChangeFeed,
    pub(super) sweep: ExpiryCleanup,
    pub(super) renewal: SessionRenewal,
    pub(super) usage: api_key::Usage,
    pub(super) sender: Option<(Sender, watch::Receiver<bool>)>,
    pub(super) keys: watch::Receiver<keys::KeySource>,
    pub(super) follower: Option<keys::Follower>,
    pub(super) rotation: Option<keys::KeyRotation>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) acceptor: Acceptor,
    pub(super) listeners: Vec<AcceptingListener>,
    pub(super) ops: TcpListener,
}

/// Builds all components and binds all addresses. Nothing is served yet.
pub(super) async fn build(
    config: &Config,
    mut inherited: Inherited,
    shutdown: watch::Receiver<bool>,
) -> Result<Components, StartError> {
    let metrics = Arc::new(Metrics::new().map_err(|e| StartError::part("metrics")(&e))?);
    let audit = Audit::open(&config.audit.directory, config.audit.keep)
        .map_err(|e| StartError::part("audit file")(&e))?;
    let telemetry = Telemetry::new(Arc::clone(&metrics), audit);
    let store = Store::open_within(&config.store, config.store.wait).await;
    let store = store.map_err(|e| StartError::part("database")(&e))?;
    let ephemeral = Ephemeral::open(&config.ephemeral, &store, time::now()).await;
    let ephemeral = ephemeral.map_err(|e| StartError::part("shared state")(&e))?;
    let registry = SessionCache::new(store.clone());
    let feed = ChangeFeed::new(store.clone(), registry.clone())
        .measured(Arc::clone(&metrics))
        .comparing(time::now)
        .hinted(ephemeral.hints());
    let reload::KeySets { source, vault } =
        reload::open_keys(config, &store).await.map_err(|e| StartError::part("keys")(&e))?;
    let snapshot =
        reload::compile(config, None, &metrics, &source).map_err(StartError::Configuration)?;
    let live = Arc::new(CurrentSnapshot::new(snapshot));

    let sessions = Arc::new(Sessions::new(store.clone(), registry.clone()));
    let passwords = Arc::new(
        Passwords::new(&config.login.hashing)
            .map_err(|e| StartError::part("password hashing")(&e))?,
    );
    let issuer = Issuer::new(config.tokens.clone()).map_err(|e| StartError::part("signing")(&e))?;
    let issuer = Arc::new(issuer);
    let limits = Arc::new(RateLimiter::new(&ephemeral));
    let outbox = Outbox::open_with(config.mail.as_ref(), &config.data_dir, source.outbox());
    let outbox = Arc::new(outbox.map_err(|e| StartError::part("outbox")(&e))?);
    let sender = sender(config, &store, &outbox, &metrics)?.map(|it| (it, shutdown.clone()));
    let links = MailedLinks::new(
        store.clone(),
        Arc::clone(&passwords),
        Arc::clone(&outbox),
        config.links.clone(),
    );
    let links = Arc::new(links);
    let policy = Arc::new(PasswordPolicy::new(config.login.min_length, config.policy.clone()));
    let recovery = Recovery::new(Arc::clone(&links), registry.clone(), Arc::clone(&policy));
    let factor = SecondFactor::new(
        store.clone(),
        registry.clone(),
        Arc::clone(&outbox),
        &config.mfa,
        config.login.clone(),
        config.tokens.issuer.clone(),
    );
    let factor = Arc::new(factor.await.map_err(|e| StartError::part("second factor")(&e))?);
    let login = Login::new(
        store.clone(),
        registry.clone(),
        Arc::clone(&issuer),
        Arc::clone(&passwords),
        config.login.clone(),
        Arc::clone(&limits),
        UnknownAccounts::open(&store, time::now())
            .await
            .map_err(|e| StartError::part("logins")(&e))?,
        &ephemeral,
    );
    let login = Arc::new(login);
    let password = PasswordChange::new(
        store.clone(),
        registry.clone(),
        Arc::clone(&login),
        passwords,
        Arc::clone(&policy),
        outbox,
    );
    let challenge = Challenge::new(store.clone(), Arc::clone(&login), Arc::clone(&factor));
    let enrol = TotpEnrolment::new(
        store.clone(),
        Arc::clone(&login),
        Arc::clone(&factor),
        config.mfa.recent_login,
    );
    let provider_login = ProviderLogin::new(config.public_url.clone());
    let linking = AccountLinker::new(store.clone(), telemetry.clone());
    let tickets = Arc::new(WsTickets::new(&ephemeral));
    let refresh = Refresh::new(store.clone(), registry.clone(), issuer);
    let router = endpoints::router(endpoints::Services {
        issues: config.mode != Mode::External,
        login,
        enrol: Arc::new(enrol),
        factor,
        challenge: Arc::new(challenge),
        provider_login: Arc::new(provider_login),
        refresh: Arc::new(refresh),
        password: Arc::new(password),
        overviews: Arc::new(Overviews::new(store.clone())),
        pages: Arc::new(config.pages.clone()),
        recovery: Arc::new(recovery),
        verification: Arc::new(Verification::new(links)),
        turnstile: endpoints::RateLimitGuard::new(limits, telemetry.clone()),
        introspection: Arc::new(Introspection::new(registry.clone(), linking.clone())),
        clients: Arc::new(client::ClientCache::new(store.clone(), registry.clone())),
        tickets: Arc::clone(&tickets),
        sessions,
        telemetry: telemetry.clone(),
    });
    let (renewal, renewals) = SessionRenewal::new(store.clone(), config.login.browser, time::now);
    let opened = OpenedSessions::new(store.clone(), renewals, OPENED_SESSIONS);
    let (usage, uses) = api_key::Usage::new(store.clone(), time::now);
    let api_keys = Arc::new(api_key::ApiKeyCache::new(store.clone(), registry.clone(), uses));
    let judge = Authenticator::new(
        Arc::new(registry.clone()),
        opened,
        Arc::clone(&api_keys),
        tickets,
        linking,
        VERIFIED_TOKENS,
    );
    let sockets = Arc::<WebSocketLimiter>::default();
    let gateway = Gateway::new(
        Arc::clone(&live),
        Arc::new(judge),
        Assertions::new(ASSERTIONS),
        router,
        Arc::clone(&sockets),
        telemetry.clone(),
    );
    let tethers = Arc::<InFlightRequests>::default();
    let acceptor = Acceptor {
        live: Arc::clone(&live),
        admission: Arc::new(ConnectionLimiter::default()),
        service: Service {
            proxy: Arc::new(proxy(gateway)),
            metrics: Arc::clone(&metrics),
            shutdown,
            tethers: Arc::clone(&tethers),
        },
    };
    let revocation = RevocationWatcher {
        registry: registry.clone(),
        api_keys,
        tethers,
        sockets,
        telemetry: telemetry.clone(),
    };
    let mut listeners = Vec::new();
    for listener in &config.listeners {
        let bound = listen(&mut inherited, listener.address).await?;
        announce(if listener.certificates.is_empty() { "http" } else { "https" }, &bound);
        listeners.push(AcceptingListener { bound, address: listener.address });
    }
    let ops = listen(&mut inherited, config.ops).await?;
    announce("ops", &ops);
    inherited.finish().map_err(StartError::LeftOver)?;
    let rotation = config.rotate_every.map(|every| {
        let administration = reload::administration(config, vault.clone());
        keys::KeyRotation::new(administration, every, time::now)
    });
    let (taken, keys) = watch::channel(source);
    let follower = vault.map(|vault| keys::Follower::new(vault, &registry, taken, time::now));
    let (reload, reload_handle) =
        Actor::new(config.clone(), Arc::clone(&live), telemetry.clone(), keys.clone());
    let readiness = Arc::new(Readiness::default());
    let observer = StatusSampler {
        clock: feed.clock_offset(),
        live: Arc::clone(&live),
        registry,
        telemetry: telemetry.clone(),
        ephemeral: ephemeral.clone(),
        readiness: Arc::clone(&readiness),
        admission: Arc::clone(&acceptor.admission),
        reload: reload_handle.clone(),
    };
    Ok(Components {
        sweep: ExpiryCleanup::new(store.clone(), time::now),
        renewal,
        usage,
        sender,
        keys,
        follower,
        rotation,
        reload,
        reload_handle,
        live,
        telemetry,
        store,
        ephemeral,
        feed,
        observer,
        revocation,
        readiness,
        acceptor,
        listeners,
        ops: ops.socket,
    })
}

/// The mail sender, if a mail server is configured.
fn sender(
    config: &Config,
    store: &Store,
    outbox: &Arc<Outbox>,
    metrics: &Arc<Metrics>,
) -> Result<Option<Sender>, StartError> {
    let Some(mail) = &config.mail else { return Ok(None) };
    let smtp = Smtp::new(mail).map_err(|e| StartError::part("mail server")(&e))?;
    let route = MailRoute {
        site: mail.sender_name.clone(),
        links: config.links.clone(),
        timeout: mail.timeout,
    };
    let (outbox, metrics) = (Arc::clone(outbox), Arc::clone(metrics));
    Ok(Some(Sender::new(store.clone(), outbox, smtp, route, metrics, time::now)))
}

/// pingora's proxy, used with Guarita's own accept loop.
fn proxy(gateway: Gateway) -> HttpProxy<Gateway> {
    let configuration = ServerConf {
        max_retries: bodyless::MAX_ATTEMPTS,
        upstream_keepalive_pool_size: bodyless::MAX_IDLE_CONNECTIONS,
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(gateway, Arc::new(configuration));
    proxy.handle_init_modules();
    proxy
}

async fn listen(inherited: &mut Inherited, address: SocketAddr) -> Result<BoundSocket, StartError> {
    inherited.listen(address).await.map_err(|source| StartError::Listen { address, source })
}

fn announce(listener: &'static str, bound: &BoundSocket) {
    if let Ok(address) = bound.socket.local_addr() {
        Listening { listener, address, inherited: bound.inherited }.emit();
    }
}
