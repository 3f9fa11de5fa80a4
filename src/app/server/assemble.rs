//! Builds all components and connects them.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::admission::Admission;
use super::connection::Service;
use super::inherited::{Bound, Inherited};
use super::listeners::{Acceptor, Listener};
use super::observer::Observer;
use super::revocation::Revocation;
use crate::adapters::ephemeral::Ephemeral;
use crate::adapters::mail::Smtp;
use crate::adapters::store::Store;
use crate::adapters::telemetry::{Audit, Metrics};
use crate::app::config::Config;
use crate::app::config::values::Mode;
use crate::app::reload::{self, Actor};
use crate::doors::endpoints;
use crate::doors::ops::Readiness;
use crate::doors::proxy::{Gateway, Sockets, Tethers, exchange};
use crate::live::Live;
use crate::model::clock;
use crate::services::access::{Introspection, Judge, OpenedSessions};
use crate::services::account::{
    MailedLinks, Overviews, PasswordChange, Policy, Recovery, Verification,
};
use crate::services::api_key;
use crate::services::assertion::Assertions;
use crate::services::client;
use crate::services::federation::{Linking, ProviderLogin};
use crate::services::grant::{Issuer, Refresh};
use crate::services::keys;
use crate::services::limit::Limits;
use crate::services::login::{Challenge, Enrol, Login, Passwords, SecondFactor, UnknownNames};
use crate::services::mail::{Outbox, Route, Sender};
use crate::services::session::{Feed, Registry, Renewal, Sessions, Sweep, Tickets};

/// Maximum number of cached verified tokens.
const VERIFIED_TOKENS: usize = 65_536;
/// Maximum number of cached browser sessions.
const OPENED_SESSIONS: usize = 65_536;
/// Maximum number of cached assertions.
const ASSERTIONS: usize = 65_536;

/// Why the gateway cannot start; one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The configuration is invalid; with all problems.
    #[error("{0}")]
    Configuration(crate::app::config::Problems),
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

impl Fault {
    pub(super) fn part(part: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> Self {
        move |cause| Self::Part { part, cause: cause.to_string() }
    }
}

/// The components of a running gateway.
pub(super) struct Gate {
    pub(super) live: Arc<Live>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: Audit,
    pub(super) store: Store,
    pub(super) ephemeral: Ephemeral,
    pub(super) reload: Actor,
    pub(super) reload_handle: reload::Handle,
    pub(super) observer: Observer,
    pub(super) revocation: Revocation,
    pub(super) feed: Feed,
    pub(super) sweep: Sweep,
    pub(super) renewal: Renewal,
    pub(super) usage: api_key::Usage,
    pub(super) sender: Option<(Sender, watch::Receiver<bool>)>,
    pub(super) keys: watch::Receiver<keys::Source>,
    pub(super) follower: Option<keys::Follower>,
    pub(super) rotation: Option<keys::Rotation>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) acceptor: Acceptor,
    pub(super) listeners: Vec<Listener>,
    pub(super) ops: TcpListener,
}

/// Builds all components and binds all addresses. Nothing is served yet.
pub(super) async fn build(
    config: &Config,
    mut inherited: Inherited,
    shutdown: watch::Receiver<bool>,
) -> Result<Gate, Fault> {
    let metrics = Arc::new(Metrics::new().map_err(|e| Fault::part("metrics")(&e))?);
    let audit = Audit::open(&config.audit.directory, config.audit.keep)
        .map_err(|e| Fault::part("audit file")(&e))?;
    let store = Store::open_within(&config.store, config.store.wait).await;
    let store = store.map_err(|e| Fault::part("database")(&e))?;
    let ephemeral = Ephemeral::open(&config.ephemeral, &store, clock::now()).await;
    let ephemeral = ephemeral.map_err(|e| Fault::part("shared state")(&e))?;
    let registry = Registry::new(store.clone());
    let feed = Feed::new(store.clone(), registry.clone())
        .measured(Arc::clone(&metrics))
        .comparing(clock::now)
        .hinted(ephemeral.hints());
    let reload::Keys { source, vault } =
        reload::open_keys(config, &store).await.map_err(|e| Fault::part("keys")(&e))?;
    let snapshot =
        reload::compile(config, None, &metrics, &source).map_err(Fault::Configuration)?;
    let live = Arc::new(Live::new(snapshot));

    let sessions = Arc::new(Sessions::new(store.clone(), registry.clone()));
    let passwords = Arc::new(
        Passwords::new(&config.login.hashing).map_err(|e| Fault::part("password hashing")(&e))?,
    );
    let signing = Arc::clone(&live);
    let required = Arc::clone(&live);
    let issuer = Issuer::new(move || Arc::clone(&signing.read().keyring), config.tokens.clone())
        .map_err(|e| Fault::part("signing")(&e))?
        .demanding(move || required.read().required_factor.clone());
    let issuer = Arc::new(issuer);
    let rates = Arc::clone(&live);
    let limits = Arc::new(Limits::new(&ephemeral, move || rates.read().rate_limits));
    let outbox = Outbox::open_with(config.mail.as_ref(), &config.data_dir, source.outbox());
    let outbox = Arc::new(outbox.map_err(|e| Fault::part("outbox")(&e))?);
    let sender = sender(config, &store, &outbox, &metrics)?.map(|it| (it, shutdown.clone()));
    let links = MailedLinks::new(
        store.clone(),
        Arc::clone(&passwords),
        Arc::clone(&outbox),
        config.links.clone(),
    );
    let links = Arc::new(links);
    let policy = Arc::new(Policy::new(config.login.min_length, config.policy.clone()));
    let recovery = Recovery::new(Arc::clone(&links), registry.clone(), Arc::clone(&policy));
    let factor = SecondFactor::new(
        store.clone(),
        registry.clone(),
        Arc::clone(&outbox),
        &config.mfa,
        config.login.clone(),
        config.tokens.issuer.clone(),
    );
    let factor = Arc::new(factor.await.map_err(|e| Fault::part("second factor")(&e))?);
    let login = Login::new(
        store.clone(),
        registry.clone(),
        Arc::clone(&issuer),
        Arc::clone(&passwords),
        config.login.clone(),
        Arc::clone(&limits),
        UnknownNames::open(&store, clock::now()).await.map_err(|e| Fault::part("logins")(&e))?,
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
    let enrol =
        Enrol::new(store.clone(), Arc::clone(&login), Arc::clone(&factor), config.mfa.recent_login);
    let keys = Arc::clone(&live);
    let provider_login =
        ProviderLogin::new(config.public_url.clone(), move || Arc::clone(&keys.read().keyring));
    let linking = Linking::new(store.clone(), audit.clone());
    let tickets = Arc::new(Tickets::new(&ephemeral));
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
        turnstile: endpoints::RateLimitGuard::new(limits, audit.clone(), Arc::clone(&metrics)),
        introspection: Arc::new(Introspection::new(registry.clone(), linking.clone())),
        clients: Arc::new(client::Registry::new(store.clone(), registry.clone())),
        tickets: Arc::clone(&tickets),
        sessions,
        live: Arc::clone(&live),
        metrics: Arc::clone(&metrics),
        audit: audit.clone(),
    });
    let (renewal, renewals) = Renewal::new(store.clone(), config.login.browser, clock::now);
    let opened = OpenedSessions::new(store.clone(), renewals, OPENED_SESSIONS);
    let (usage, uses) = api_key::Usage::new(store.clone(), clock::now);
    let api_keys = Arc::new(api_key::Registry::new(store.clone(), registry.clone(), uses));
    let judge = Judge::new(
        Arc::new(registry.clone()),
        opened,
        Arc::clone(&api_keys),
        tickets,
        linking,
        VERIFIED_TOKENS,
    );
    let sockets = Arc::<Sockets>::default();
    let gateway = Gateway::new(
        Arc::clone(&live),
        Arc::new(judge),
        Assertions::new(ASSERTIONS),
        router,
        Arc::clone(&sockets),
        Arc::clone(&metrics),
        audit.clone(),
    );
    let tethers = Arc::<Tethers>::default();
    let acceptor = Acceptor {
        live: Arc::clone(&live),
        admission: Arc::new(Admission::default()),
        service: Service {
            proxy: Arc::new(proxy(gateway)),
            metrics: Arc::clone(&metrics),
            shutdown,
            tethers: Arc::clone(&tethers),
        },
    };
    let revocation = Revocation {
        registry: registry.clone(),
        api_keys,
        tethers,
        sockets,
        audit: audit.clone(),
        metrics: Arc::clone(&metrics),
    };
    let mut listeners = Vec::new();
    for listener in &config.listeners {
        let bound = listen(&mut inherited, listener.address).await?;
        announce(if listener.certificates.is_empty() { "http" } else { "https" }, &bound);
        listeners.push(Listener { bound, address: listener.address });
    }
    let ops = listen(&mut inherited, config.ops).await?;
    announce("ops", &ops);
    inherited.finish().map_err(Fault::LeftOver)?;
    let rotation = config.rotate_every.map(|every| {
        let administration = reload::administration(config, vault.clone());
        keys::Rotation::new(administration, every, clock::now)
    });
    let (taken, keys) = watch::channel(source);
    let follower = vault.map(|vault| keys::Follower::new(vault, &registry, taken, clock::now));
    let (reload, reload_handle) = Actor::new(
        config.clone(),
        Arc::clone(&live),
        Arc::clone(&metrics),
        audit.clone(),
        keys.clone(),
    );
    let readiness = Arc::new(Readiness::default());
    let observer = Observer {
        clock: feed.clock_offset(),
        live: Arc::clone(&live),
        registry,
        audit: audit.clone(),
        metrics: Arc::clone(&metrics),
        ephemeral: ephemeral.clone(),
        readiness: Arc::clone(&readiness),
        admission: Arc::clone(&acceptor.admission),
        reload: reload_handle.clone(),
    };
    Ok(Gate {
        sweep: Sweep::new(store.clone(), clock::now),
        renewal,
        usage,
        sender,
        keys,
        follower,
        rotation,
        reload,
        reload_handle,
        live,
        metrics,
        audit,
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
) -> Result<Option<Sender>, Fault> {
    let Some(mail) = &config.mail else { return Ok(None) };
    let smtp = Smtp::new(mail).map_err(|e| Fault::part("mail server")(&e))?;
    let route = Route {
        site: mail.sender_name.clone(),
        links: config.links.clone(),
        timeout: mail.timeout,
    };
    let (outbox, metrics) = (Arc::clone(outbox), Arc::clone(metrics));
    Ok(Some(Sender::new(store.clone(), outbox, smtp, route, metrics, clock::now)))
}

/// pingora's proxy, used with Guarita's own accept loop.
fn proxy(gateway: Gateway) -> HttpProxy<Gateway> {
    let configuration = ServerConf {
        max_retries: exchange::TRIES,
        upstream_keepalive_pool_size: exchange::KEPT,
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(gateway, Arc::new(configuration));
    proxy.handle_init_modules();
    proxy
}

async fn listen(inherited: &mut Inherited, address: SocketAddr) -> Result<Bound, Fault> {
    inherited.listen(address).await.map_err(|source| Fault::Listen { address, source })
}

fn announce(listener: &'static str, bound: &Bound) {
    if let Ok(address) = bound.socket.local_addr() {
        let inherited = bound.inherited;
        tracing::info!(event = "listening", listener, %address, inherited, "listening");
    }
}
