//! Reaching addresses that others have named: webhooks, and tools that fetch something. None of them leads into a private network.
//!
//! Two things are checked, and the second is the one that counts: an address that stands in the URL, before anything is sent,
//! and every address that a name turns out to have, at the moment of connecting ([`names`]): the connection goes to an address that
//! was checked, so a name that changes its mind in between gains nothing, and a name with one forbidden address among good ones
//! reaches none. Redirects are not followed, proxies of the environment not used, cookies not kept.
//!
//! What the operator has configured (`….base_url`, `store.url`, …) does not go through here: operators may reach their own network.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use serde::{Deserialize, Serialize};
use tokio::time;

mod names;
mod networks;

pub use names::{Names, System};
pub use networks::{Kind, kind};

/// What may be reached that others have named.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Hosts with ports, separated by blanks, such as `127.0.0.1:9000 hooks.internal:443`, that webhooks may reach although they are
    /// private or speak no TLS.
    pub allow: String,
    /// Whether `http://` may be reached elsewhere, too.
    pub plain: bool,
    /// Longest wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest wait for the whole answer, in milliseconds.
    pub timeout_ms: u64,
    /// Largest answer that is read, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow: String::new(),
            plain: false,
            connect_timeout_ms: 3_000,
            timeout_ms: 10_000,
            answer_bytes_max: 1024 * 1024,
        }
    }
}

/// Why something was not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no address that we speak to.
    #[error("that is no https:// address")]
    NoAddress,
    /// It is in a network that others must not lead us into.
    #[error("that address leads into a private network ({0})")]
    Forbidden(Kind),
    /// It could not be reached, or did not answer in time. The word says what failed.
    #[error("it cannot be reached ({0})")]
    Unreachable(&'static str),
    /// Its answer is too long.
    #[error("its answer is too long")]
    TooLong,
    /// No client can be made.
    #[error("no HTTP client can be made")]
    NoClient,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status; a redirect is an answer like any other.
    pub status: u16,
    /// What `Retry-After` says, if it is a number of seconds.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Bytes,
}

/// The client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    /// For everybody: checks what names resolve to.
    guarded: reqwest::Client,
    /// For the hosts that are allowed by name.
    trusted: reqwest::Client,
    allow: Arc<[String]>,
    config: Arc<Config>,
}

impl Client {
    /// A client that asks the system for addresses. Needs rustls' crypto provider to be installed.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Self::with_names(config, Arc::new(System))
    }

    /// The same with another way to look names up.
    pub fn with_names(config: &Config, names: Arc<dyn Names>) -> Result<Self, Error> {
        let client = || {
            reqwest::Client::builder()
                .redirect(Policy::none())
                .no_proxy()
                .referer(false)
                .user_agent(concat!("Floe/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
                .pool_max_idle_per_host(2)
        };
        let guarded = client().dns_resolver(names::Guarded::new(Arc::clone(&names))).build();
        let trusted = client().dns_resolver(names::Trusting::new(names)).build();
        Ok(Self {
            guarded: guarded.map_err(|_| Error::NoClient)?,
            trusted: trusted.map_err(|_| Error::NoClient)?,
            allow: config.allow.split_whitespace().map(str::to_ascii_lowercase).collect(),
            config: Arc::new(config.clone()),
        })
    }

    /// Whether an address could be reached as far as it can be told without asking anybody: for whoever takes one in.
    pub fn check(&self, address: &str) -> Result<(), Error> {
        self.way(address).map(drop)
    }

    /// Sends a body and reads the answer.
    pub async fn post(&self, address: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer, Error> {
        let (client, url) = self.way(address)?;
        self.send(client.post(url).headers(named(headers)).body(body)).await
    }

    /// Fetches something.
    pub async fn get(&self, address: &str, headers: &[(&str, &str)]) -> Result<Answer, Error> {
        let (client, url) = self.way(address)?;
        self.send(client.get(url).headers(named(headers))).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, Error> {
        let asking = async {
            let response = request.send().await.map_err(|error| why(&error))?;
            let status = response.status().as_u16();
            let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            let (mut body, mut pieces) = (Vec::new(), response.bytes_stream());
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| why(&error))?;
                if body.len() + piece.len() > self.config.answer_bytes_max {
                    return Err(Error::TooLong);
                }
                body.extend_from_slice(&piece);
            }
            Ok(Answer { status, retry_after: retry_after.map(Duration::from_secs), body: body.into() })
        };
        let timeout = Duration::from_millis(self.config.timeout_ms);
        time::timeout(timeout, asking).await.unwrap_or(Err(Error::Unreachable("timeout")))
    }

    /// The client that may go there.
    fn way(&self, address: &str) -> Result<(&reqwest::Client, Url), Error> {
        let url = Url::parse(address).map_err(|_| Error::NoAddress)?;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(Error::NoAddress);
        };
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err(Error::NoAddress);
        }
        if self.allow.iter().any(|allowed| *allowed == format!("{host}:{port}")) {
            return Ok((&self.trusted, url));
        }
        if url.scheme() == "http" && !self.config.plain {
            return Err(Error::NoAddress);
        }
        // The parser has made dotted numbers of decimal and hexadecimal ones.
        let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        match literal.map(kind) {
            None | Some(Kind::Public) => {}
            Some(kind) => return Err(Error::Forbidden(kind)),
        }
        // Names that mean this machine whatever a resolver says (RFC 6761), and those of no public network.
        let name = host.trim_end_matches('.');
        if literal.is_none() && LOCAL.iter().any(|local| name == *local || name.ends_with(&format!(".{local}"))) {
            return Err(Error::Forbidden(Kind::Loopback));
        }
        Ok((&self.guarded, url))
    }
}

/// Names that never are public.
const LOCAL: [&str; 3] = ["localhost", "local", "internal"];

fn named(headers: &[(&str, &str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&str, &str)| Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?));
    headers.iter().filter_map(pair).collect()
}

/// The reason in our words: those of the library may hold the address.
fn why(error: &reqwest::Error) -> Error {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(names::Refused(kind)) = cause.downcast_ref() {
            return Error::Forbidden(*kind);
        }
        source = cause.source();
    }
    Error::Unreachable(match error {
        error if error.is_timeout() => "timeout",
        error if error.is_connect() => "connect",
        error if error.is_body() || error.is_decode() => "body",
        _ => "request",
    })
}
