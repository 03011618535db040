//! Everything reached by HTTP: the router, and what it lets in.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    auth::Principal,
    conversation::Settings,
    ids::{ConversationId, SessionId},
    jobs::erased,
    protocol::{native::Offer, openai::Voices},
    reach,
    session::{Engines, past, registry::Registry, returns::Returns},
    store::{self, Claim, Conversation, Recorder, Scope, Scribe, Store, audit, record::Opening, shared::Shared},
    tape::{Deck, Tape},
};

pub mod auth;
pub mod limits;
pub mod openai;
pub mod server;
pub mod tls;

mod api;
mod health;
mod login;
mod openapi;
mod outgoing;
mod page;
mod secrets;
mod socket;
mod stream;
mod tickets;
mod voice;

/// The listener.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port. On any but loopback callers show a key (see `auth.mode`).
    pub listen: String,
    /// API keys, separated by blanks, of admins of the tenant `default`: to begin with, before there are others (`floe keys create`).
    #[schemars(with = "String", extend("writeOnly" = true))]
    pub keys: SecretString,
    /// Whether a key may also stand in the address (`?api_key=`), where it ends up in logs.
    pub query_keys: bool,
    /// Speaks TLS with a certificate made at start, for development.
    pub tls_self_signed: bool,
    /// Names and addresses in that certificate, separated by blanks, besides localhost, 127.0.0.1 and ::1.
    pub tls_names: String,
    /// Where that certificate is written, so that clients can be told to trust it.
    pub tls_self_signed_cert: String,
    /// Certificate chain in PEM, to speak TLS with.
    pub tls_cert: String,
    /// Its private key in PEM.
    pub tls_key: String,
    /// Origins of pages that may connect, separated by blanks, such as `https://example.org`; `*` = any. The server's own
    /// page always may.
    pub origins: String,
    /// Conversations at a time; further ones get 503 with `Retry-After`.
    pub sessions_max: usize,
    /// Wait for a transcript, as the speech model's queue predicts it, above which nobody new is let in; 0 = no limit.
    pub wait_max_ms: u64,
    /// Longest wait for a request's headers.
    pub header_timeout_ms: u64,
    /// Longest wait for a client's first message.
    pub hello_timeout_ms: u64,
    /// Time between saying on `/readyz` that the server stops and letting nobody in any more: for a proxy's health check to
    /// notice.
    pub drain_notice_ms: u64,
    /// Time that replies in progress get when the server stops.
    pub drain_ms: u64,
    /// Requests a minute that one caller (a user, or a key without one; without keys an address) may make under `/api` and `/v1`; further ones get 429. 0 = any
    /// number. Conversations are not counted here.
    pub requests_per_minute: u32,
    /// Proxies whose `X-Forwarded-For` tells the caller's address, as addresses separated by blanks; `loopback` and `private` are all of
    /// those.
    pub trusted_proxies: String,
    /// What OpenAI's clients meet.
    pub openai: openai::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            keys: SecretString::default(),
            query_keys: false,
            tls_self_signed: false,
            tls_names: String::new(),
            tls_self_signed_cert: "data/self-signed.pem".into(),
            tls_cert: String::new(),
            tls_key: String::new(),
            origins: String::new(),
            sessions_max: 64,
            wait_max_ms: 1_500,
            header_timeout_ms: 5_000,
            hello_timeout_ms: 5_000,
            drain_notice_ms: 0,
            drain_ms: 30_000,
            requests_per_minute: 0,
            trusted_proxies: "loopback".into(),
            openai: openai::Config::default(),
        }
    }
}

/// What every route can reach.
#[derive(Clone)]
pub struct App {
    /// The live sessions.
    pub registry: Registry,
    /// Sessions that wait for their clients.
    pub returns: Returns,
    /// Recordings being processed, files being transcribed and texts being read out.
    pub jobs: Registry,
    /// Who may come in.
    pub door: Arc<auth::Door>,
    /// The engines.
    pub engines: Engines,
    /// What a session begins with, before the client says what it wants.
    pub settings: Arc<Settings>,
    /// What we offer a client.
    pub offer: Arc<Offer>,
    /// How OpenAI's clients are treated.
    pub openai: Arc<openai::Config>,
    /// How the voices that they ask for are called.
    pub voices: Arc<Voices>,
    /// Origins that may connect besides our own.
    pub origins: Arc<[String]>,
    /// Predicted wait for a transcript above which nobody new is let in.
    pub wait_max: Option<Duration>,
    /// Longest wait for a client's first message.
    pub hello_timeout: Duration,
    /// Time that replies in progress get when the server stops.
    pub drain_grace: Duration,
    /// Where conversations are kept, if they are.
    pub kept: Option<Kept>,
    /// What several nodes share; alone, this one's own.
    pub shared: Shared,
    /// How much a caller may ask, and who that is.
    pub limits: Arc<limits::Limits>,
}

/// The store, and who writes into it.
#[derive(Clone)]
pub struct Kept {
    /// For reading.
    pub store: Store,
    /// For writing.
    pub recorder: Recorder,
    /// For noting who reads what.
    pub trail: audit::Trail,
    /// Where it is noted who was erased.
    pub erased: erased::Log,
    /// For checking addresses that events are sent to.
    pub reach: reach::Client,
    /// For sound.
    pub deck: Deck,
}

impl App {
    /// A tape for what this scribe writes down, if sound is kept.
    fn tape(&self, scribe: Option<&Scribe>) -> Option<Tape> {
        let (kept, scribe) = (self.kept.as_ref()?, scribe?);
        kept.deck.tape(scribe.conversation(), scribe.epoch())
    }
}

impl Kept {
    /// Begins to write down the conversation of a new session, for whoever holds it.
    fn begin(
        &self,
        who: &Principal,
        session: SessionId,
        agent: String,
        language: String,
        consent: Option<bool>,
    ) -> Scribe {
        let opening = Opening { tenant: who.tenant.clone(), user: who.user.clone(), agent, language, consent };
        self.recorder.begin(session, opening)
    }

    /// Takes a conversation over, with what was said in it; `None` if there is none that this principal may go on with. Whoever
    /// held it writes no more from here on, so what is read afterwards is all there is.
    async fn claim(
        &self,
        shared: &Shared,
        scope: Scope<'_>,
        id: ConversationId,
        consent: Option<bool>,
    ) -> Result<Option<(Claim, past::Kept)>, store::Error> {
        if self.recorder.spooled() > 0 {
            // Perhaps words of this very conversation: whoever goes on now would not know of them.
            return Err(store::Error::CatchingUp);
        }
        let Some(conversation) = self.store.conversation(scope, id).await? else { return Ok(None) };
        let session = conversation.session;
        let Some(epoch) = self.store.claim(session, self.recorder.node()).await? else { return Ok(None) };
        let (items, receipts) = (self.store.timeline(id).await?, self.store.receipts(id).await?);
        // What was told to be kept while the database was away may be there alone. It may also be away.
        let left = shared.snapshot(session).await.ok().flatten().filter(|left| left.conversation == id);
        let kept = past::Kept::read(&conversation, items, &receipts, left);
        // It stays whose it was.
        let consent = consent.or(conversation.consent);
        let Conversation { user, agent, language, .. } = conversation;
        let opening = Opening { tenant: scope.tenant.to_owned(), user, agent, language, consent };
        Ok(Some((Claim { session, epoch, conversation: id, opening }, kept)))
    }
}

/// Every route.
pub fn router(app: App) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(openapi::document())
        .merge(openai::router(&app))
        .nest("/api/v1", api::router(app.clone()))
        .nest("/api/voice", voice::router(&app))
        .split_for_parts();
    router
        .merge(openapi::routes(document))
        .route("/v1/stream", get(stream::upgrade))
        .route("/login", get(login::begin).post(login::with_key))
        .route("/login/callback", get(login::callback))
        .route("/logout", post(login::end))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::numbers))
        .route("/", get(page::index))
        .route("/console", get(page::console))
        .route("/{*path}", get(page::asset))
        .with_state(app)
}
