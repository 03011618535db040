//! The composition root: builds engines and router from a configuration, serves, drains.

use std::{net::IpAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::{net::TcpListener, time};
use tokio_util::sync::CancellationToken;

use crate::{
    agent,
    auth::{self, Identities, Live},
    config::Config,
    http::{
        self, App, Kept,
        auth::{Configured, Door},
        limits::Limits,
        server, tls,
    },
    jobs::{
        erased,
        forgetting::{self, Means},
        runner,
        summary::Summarise,
        tending,
        webhook::Deliver,
    },
    models::{self, choose, speed},
    protocol::native::Offer,
    reach, replay,
    session::{Engines, registry::Registry, returns::Returns},
    store::{
        self, Recorder, Running, Store,
        audit::{Trail, Writing},
        shared::{self, Load, Shared},
    },
    stt, tape, telemetry, tts, vad,
};

/// Loads every engine. Takes as long as the speech model takes to load; blocks.
pub fn engines(config: &Config) -> anyhow::Result<Engines> {
    install_tls();
    let stt = speech_model(config)?;
    let detector = config.vad.clone();
    Ok(Engines {
        vad: Arc::new(move || vad::engine(&detector)),
        stt: stt::engine(&stt).context("speech to text")?,
        agent: agent::engine(&config.agent).context("the agent")?,
        tools: Arc::new(agent::tools::Registry::new(agent::tools::server_tools(&config.agent)?)),
        tts: tts::engine(&config.voice().context("text to speech")?).context("text to speech")?,
    })
}

fn install_tls() {
    // Fails only if another provider was installed first, which then serves as well.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}

/// The settings of the recogniser with the model file to load, which is said once.
fn speech_model(config: &Config) -> anyhow::Result<stt::Config> {
    let mut stt = config.stt.clone();
    if stt.engine != "whisper" {
        return Ok(stt);
    }
    let shelf = models::Shelf::configured(&config.models)?;
    let language = config.speech_language();
    let choice =
        choose::choose(&shelf, &stt.model, language, stt.trust_model, &speed::measure).context("speech to text")?;
    if let Some(why) = &choice.why {
        tracing::info!("stt.model is auto: {} ({why})", choice.name);
    }
    if choice.bundled {
        tracing::info!(
            "The bundled speech model knows few words of assistant talk and nothing else. For real speech: `floe models fetch \
             base.en`, or FLOE_MODEL=base.en make run"
        );
    }
    stt.model = choice.path;
    Ok(stt)
}

/// Everything the routes need.
pub fn app(config: &Config, engines: Engines) -> App {
    let mut settings = config.session.settings(&config.agent.instructions, engines.tools.specs());
    settings.durable_timeout = Duration::from_millis(config.store.durable_timeout_ms);
    let offer = Offer {
        idle: settings.idle_timeout,
        session_max: settings.session_max,
        send_ahead: settings.send_ahead,
        resume_window: Duration::from_secs(config.session.resume_window_s),
        ..Offer::default()
    };
    let shared = Shared::alone(&config.redis);
    App {
        registry: Registry::new(config.server.sessions_max),
        returns: Returns::default(),
        jobs: Registry::new(config.server.openai.jobs_max),
        // Nobody comes in before `run` has opened it.
        door: Arc::new(shut(config, shared.clone())),
        engines,
        settings: Arc::new(settings),
        offer: Arc::new(offer),
        openai: Arc::new(config.server.openai.clone()),
        voices: config.server.openai.names(config.tts.engine == tts::Engine::Openai),
        origins: config.server.origins.split_whitespace().map(str::to_owned).collect(),
        wait_max: (config.server.wait_max_ms > 0).then(|| Duration::from_millis(config.server.wait_max_ms)),
        hello_timeout: Duration::from_millis(config.server.hello_timeout_ms),
        drain_grace: Duration::from_millis(config.server.drain_ms),
        kept: None,
        shared,
        limits: Arc::new(Limits::of(&config.server)),
    }
}

/// A door that lets in nobody but holders of configured keys.
fn shut(config: &Config, shared: Shared) -> Door {
    Door {
        is_locked: true,
        keys: Configured::new(&config.server.keys),
        query: config.server.query_keys,
        shared,
        identities: None,
        provider: None,
        live: Live::default(),
    }
}

/// Binds the configured address, unless everybody who can reach it would be let in.
pub async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let listener = http::server::bind(&config.server.listen).await?;
    let address = listener.local_addr()?;
    is_locked(config, address.ip()).with_context(|| address.to_string())?;
    Ok(listener)
}

/// Whether callers at this address must show something.
fn is_locked(config: &Config, ip: IpAddr) -> Result<bool, auth::Error> {
    config.auth.is_locked(!Configured::new(&config.server.keys).is_empty(), ip.to_canonical().is_loopback())
}

/// Opens the door of a server that listens here, and begins to look after it.
async fn open(config: &Config, app: &mut App, ip: IpAddr) -> anyhow::Result<auth::Running> {
    install_tls();
    let is_locked = is_locked(config, ip)?;
    let live = Live::default();
    let identities = match &app.kept {
        // Where nothing has to be shown nobody has a key or a login, and no secret is needed.
        Some(kept) if is_locked => Some(identities(config, &kept.store, live.clone()).await?),
        _ => None,
    };
    let provider = auth::oidc::Provider::new(&config.auth.oidc)?;
    let mut door = shut(config, app.shared.clone());
    (door.is_locked, door.live) = (is_locked, live.clone());
    (door.identities, door.provider) = (identities.clone(), provider.clone());
    if is_locked {
        warn_if_nobody_can_come(&door).await;
    } else {
        tracing::info!("auth.mode is none: whoever reaches this port may do everything");
    }
    app.door = Arc::new(door);
    Ok(auth::Keeper { live, identities, provider }.start())
}

/// Keys and logins in this database. A database that is away is no error: then the secret is compared later.
async fn identities(config: &Config, store: &Store, live: Live) -> anyhow::Result<Identities> {
    let identities = Identities::new(store.clone(), &config.auth, &config.store.dir, live)?;
    match identities.check_secret().await {
        Err(auth::Error::Store(error)) => {
            tracing::warn!(%error, "auth.secret could not be compared with the database's")
        }
        other => other?,
    }
    Ok(identities)
}

async fn warn_if_nobody_can_come(door: &Door) {
    let has_made = match &door.identities {
        Some(identities) => identities.has_keys().await.unwrap_or(true),
        None => false,
    };
    if !has_made && door.keys.is_empty() && door.provider.is_none() {
        tracing::warn!(
            "nobody can come in yet: make a key with `floe keys create NAME`, or set server.keys (FLOE_SERVER_KEYS)"
        );
    }
}

/// `floe keys …`. Says whether there was anything to do it with.
pub async fn keys(config: &Config, command: auth::command::Command) -> anyhow::Result<bool> {
    let Some(store) = Store::open(&config.store).await.context("the store")? else {
        return Err(auth::Error::NothingKept.into());
    };
    let identities = Identities::new(store.clone(), &config.auth, &config.store.dir, Live::default())?;
    identities.check_secret().await?;
    let done = auth::command::run(&identities, command).await;
    store.close().await;
    Ok(done?)
}

/// What the recorder gets to write its last records: a write and a disk that both time out, and a little.
const RECORDER_GRACE: Duration = Duration::from_secs(10);

/// What the audit trail gets to write its last entries.
const AUDIT_GRACE: Duration = Duration::from_secs(5);

/// What sound gets to reach the disk.
const TAPING_GRACE: Duration = Duration::from_secs(3);

/// What the keeper gets to give leases back.
const SHARING_GRACE: Duration = Duration::from_secs(3);

/// `floe migrate`: makes the tables what this version needs. Says what was done.
pub async fn migrate(config: &Config) -> anyhow::Result<String> {
    Ok(match Store::open(&config.store).await? {
        None => "store.engine is none: there is nothing to migrate".to_owned(),
        Some(store) if store.is_ready() => format!("{}: the tables are what this version needs", store.engine()),
        Some(store) => bail!("{}: the database cannot be reached", store.engine()),
    })
}

/// `floe jobs …`.
pub async fn jobs(config: &Config, command: crate::jobs::command::Command) -> anyhow::Result<std::process::ExitCode> {
    let Some(store) = Store::open(&config.store).await.context("the store")? else {
        bail!("store.engine is none: nothing is kept, and there are no jobs");
    };
    Ok(crate::jobs::command::run(&store, command, &mut std::io::stdout()).await?)
}

/// What was started to keep conversations.
type Keeping = (Running, Writing, tape::Running);

/// Opens the store and starts its recorder, its audit trail, and what keeps sound.
async fn keep(config: &Config) -> anyhow::Result<Option<(Kept, Keeping)>> {
    let Some(store) = Store::open(&config.store).await.context("the store")? else {
        tracing::warn!("store.engine is none: conversations are not kept, and no turn is durable");
        return Ok(None);
    };
    let (recorder, running) = Recorder::start(store.clone()).await.context("the store")?;
    tracing::info!(engine = store.engine(), "conversations are kept");
    let (trail, writing) = Trail::start(store.clone());
    install_tls();
    let erased = erased::Log::at(config.store.dir.join(&config.privacy.erasures));
    let reach = reach::Client::new(&config.reach).context("reach")?;
    let (deck, taping) = tape::Deck::start(&config.store, store.clone(), recorder.node()).context("store.audio")?;
    if config.store.audio {
        tracing::info!("conversations are kept as sound, too");
    }
    Ok(Some((Kept { store, recorder, trail, erased, reach, deck }, (running, writing, taping))))
}

/// Begins to do what goes on after a call.
fn work(config: &Config, app: &App, kept: &Kept) -> (runner::Running, tending::Tending) {
    let store = kept.store.clone();
    let model = config.agent.model_name().map(|name| (Arc::clone(&app.engines.agent), name));
    let means = Means {
        store: store.clone(),
        shared: app.shared.clone(),
        privacy: Arc::new(config.privacy.clone()),
        config: Arc::new(config.jobs.clone()),
    };
    let mut list = forgetting::jobs(&means);
    list.push(Arc::new(Summarise::new(store.clone(), model, config.jobs.summaries)));
    list.push(Arc::new(Deliver::new(store.clone(), kept.reach.clone())));
    let working = runner::start(&store, kept.recorder.node(), &config.jobs, list);
    (working, tending::start(means, kept.erased.clone(), kept.recorder.clone()))
}

/// Begins to share with other nodes what they share; alone, with a memory of our own.
fn share(config: &Config, app: &mut App) -> anyhow::Result<(Shared, shared::Running)> {
    install_tls();
    let node = match &app.kept {
        Some(kept) => kept.recorder.node().to_owned(),
        None => uuid::Uuid::new_v4().simple().to_string(),
    };
    let registry = app.registry.clone();
    let load = move || Load { sessions: registry.sessions(), draining: registry.is_draining() };
    let redis = shared::Config { resume_window_s: config.session.resume_window_s, ..config.redis.clone() };
    let (shared, running) = Shared::start(&redis, &node, load)?;
    if config.redis.is_shared() && config.tts.cache_shared {
        app.engines.tts.share(Arc::new(SharedPhrases(shared.clone())));
    }
    app.shared = shared.clone();
    Ok((shared, running))
}

/// Phrases that nodes share, as the voice knows them.
struct SharedPhrases(Shared);

impl tts::phrases::Phrases for SharedPhrases {
    fn find(&self, key: tts::phrases::Key) -> BoxFuture<'static, Option<Bytes>> {
        let shared = self.0.clone();
        Box::pin(async move { shared.phrase(key).await })
    }

    fn keep(&self, key: tts::phrases::Key, speech: Bytes) {
        self.0.put_phrase(key, speech);
    }
}

/// Serves until `stop`, then drains: after a notice nobody new, replies in progress finish, then everybody is told to go, and what was said
/// is written.
pub async fn run(listener: TcpListener, config: &Config, mut app: App, stop: CancellationToken) -> anyhow::Result<()> {
    telemetry::metrics::start();
    let (kept, recording) = keep(config).await?.unzip();
    app.kept.clone_from(&kept);
    let (shared, sharing) = share(config, &mut app)?;
    let _keeping = open(config, &mut app, listener.local_addr()?.ip()).await?;
    let limits = server::Limits {
        connections_max: 2 * config.server.sessions_max + 64,
        header_timeout: Duration::from_millis(config.server.header_timeout_ms),
    };
    let tls = tls::acceptor(&config.server).context("TLS")?;
    let (working, _tending) = kept.as_ref().map(|kept| work(config, &app, kept)).unzip();
    let (registry, jobs, grace) = (app.registry.clone(), app.jobs.clone(), app.drain_grace);
    let router = http::router(app);
    let accepting = CancellationToken::new();
    let serving = http::server::serve(listener, tls, router, limits, accepting.clone());
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        () = stop.cancelled() => {
            // The port stays open while sessions drain, so that a health check reads "draining" rather than a refusal.
            let grace = grace + Duration::from_secs(2);
            let leave = async {
                registry.announce();
                time::sleep(Duration::from_millis(config.server.drain_notice_ms)).await;
                let working = async {
                    match working {
                        Some(working) => working.stop(grace).await,
                        None => true,
                    }
                };
                tokio::join!(registry.drain(grace), jobs.drain(grace), working)
            };
            let drained = tokio::select! {
                (sessions, jobs, _the_rest_was_given_back) = leave => sessions && jobs,
                () = &mut serving => false,
            };
            if !drained {
                tracing::warn!(sessions = registry.sessions(), "sessions were still open at the end of the grace period");
            }
            accepting.cancel();
            serving.await;
        }
    }
    // Leases of sessions that moved on go first: their next server may be waiting.
    if !sharing.stop(SHARING_GRACE).await && shared.is_shared() {
        tracing::warn!("leases were not given back; they run out by themselves");
    }
    if let Some((recording, auditing, taping)) = recording {
        if !taping.stop(TAPING_GRACE).await {
            tracing::warn!("sound was not written in time; what is missing is the end of it");
        }
        if !recording.stop(RECORDER_GRACE).await {
            tracing::error!("the recorder did not finish in time; the last records may be lost");
        }
        if !auditing.stop(AUDIT_GRACE).await {
            tracing::error!("the audit trail was not written to its end");
        }
    }
    if let Some(kept) = kept {
        kept.store.close().await;
    }
    Ok(())
}

/// `floe models …`.
pub async fn models(config: &Config, command: models::command::Command) -> anyhow::Result<std::process::ExitCode> {
    install_tls();
    let in_use = models::command::InUse { wanted: &config.stt.model, language: config.speech_language() };
    Ok(models::command::run(&config.models, in_use, command).await?)
}

/// `floe replay`: without a URL, a server inside this process on a free port.
pub async fn replay(config: &Config, args: replay::Args) -> anyhow::Result<std::process::ExitCode> {
    let stop = CancellationToken::new();
    let mut inside = tokio::task::JoinSet::new();
    let mut url = args.url.clone().unwrap_or_default();
    if args.url.is_none() {
        let mut config = config.clone();
        // Only this process knows the port, and it makes one call at a time.
        config.server.listen = "127.0.0.1:0".into();
        config.server.keys = secrecy::SecretString::default();
        config.auth = auth::Config { mode: auth::Mode::None, ..auth::Config::default() };
        config.server.tls_self_signed = false;
        config.server.tls_cert.clear();
        config.server.tls_key.clear();
        // A measurement, not a conversation to keep; and the store may be in use by a running server.
        config.store.engine = store::Engine::None;
        config.redis = shared::Config::default();
        let app = app(&config, engines(&config)?);
        let listener = listen(&config).await?;
        url = format!("ws://{}", listener.local_addr()?);
        let stop = stop.clone();
        inside.spawn(async move { run(listener, &config, app, stop).await });
    }
    let summary = replay::replay(args.options(&url), &mut std::io::stdout()).await?;
    stop.cancel();
    while let Some(ended) = inside.join_next().await {
        ended??;
    }
    Ok(if summary.failed == 0 { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE })
}
