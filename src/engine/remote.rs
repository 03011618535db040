//! Reaching an OpenAI-compatible server: one HTTP client, its timeouts, and what its refusals mean.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{Error, ErrorKind};

/// Where an OpenAI-compatible server is.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Base URL up to and including `/v1`.
    pub base_url: String,
    /// Bearer token; empty for servers that ask for none.
    #[schemars(with = "String", extend("writeOnly" = true))]
    pub api_key: SecretString,
    /// Longest wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest silence in the middle of an answer, in milliseconds.
    pub read_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".into(),
            api_key: SecretString::default(),
            connect_timeout_ms: 4_000,
            read_timeout_ms: 15_000,
        }
    }
}

/// A client of one such server. Cheap to clone; connections are pooled and reused.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The HTTP client with the timeouts of the configuration.
    pub http: reqwest::Client,
    base_url: String,
    api_key: SecretString,
}

impl Remote {
    /// Builds the client. Needs rustls' crypto provider to be installed (`main` and the tests do that first thing).
    pub fn new(config: &Config) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .read_timeout(Duration::from_millis(config.read_timeout_ms))
            .tcp_nodelay(true)
            .build()
            .map_err(|error| Error::new(ErrorKind::Broken, error))?;
        Ok(Self { http, base_url: config.base_url.trim_end_matches('/').to_owned(), api_key: config.api_key.clone() })
    }

    /// `path` below the base URL.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{}", self.base_url, path.trim_start_matches('/'))
    }

    /// A POST to `path`, with the bearer token if there is one.
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.post(self.url(path));
        match self.api_key.expose_secret() {
            "" => request,
            key => request.bearer_auth(key),
        }
    }

    /// The base URL, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The bearer token; empty if the server asks for none.
    pub fn api_key(&self) -> &SecretString {
        &self.api_key
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        // The URL may carry a key, so it stays out of the message.
        let error = error.without_url();
        let kind = match error.status().map(|status| status.as_u16()) {
            Some(status) => kind_of_status(status),
            None => ErrorKind::Unavailable,
        };
        Self::new(kind, error)
    }
}

/// What an HTTP status of a remote engine means for us.
pub fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        429 => ErrorKind::Busy,
        408 | 500..=599 => ErrorKind::Unavailable,
        400..=499 => ErrorKind::Rejected,
        _ => ErrorKind::Broken,
    }
}
