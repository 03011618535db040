//! A language model behind any server that speaks OpenAI's chat completions.
//!
//! The request and the stream of events are async-openai's; the shapes of both are ours ([`super::prompt`],
//! [`super::chunk`]), because its typed ones refuse what many compatible servers send. Its HTTP layer is replaced by
//! [`send`]: its own would try a refused request three more times with growing pauses, honour any `Retry-After`, and log the
//! body of a refusal, which may quote the user. (One leak stays: an event that is no JSON at all is logged by async-openai
//! at error level, so the log filter must silence the target `async_openai`.)
//!
//! The silence between two chunks is bounded by the HTTP client's read timeout, the whole reply by
//! [`Config::reply_bytes_max`]. async-openai reads ahead of us through a queue without a bound; what bounds it is that the
//! reader ends with our stream, and that stream with the reply's greatest length.

use std::{collections::VecDeque, time::Duration};

use async_openai::{Client, error::OpenAIError, middleware::HttpRequestFactory, types::stream::StreamResponse};
use futures_util::{FutureExt as _, StreamExt as _, stream, stream::BoxStream};
use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ChatModel, Delta, Error, ErrorKind, Request, chunk::Assembler, prompt};
use crate::engine::remote::{self, Remote, kind_of_status};

/// A language model behind any OpenAI-compatible server.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the model, in the server's words.
    pub model: String,
    /// How freely it chooses its words, 0 to 2; none = the server's default (some models allow no other).
    pub temperature: Option<f32>,
    /// Longest reply in tokens; none = the server's default.
    pub max_output_tokens: Option<u32>,
    /// Longest reply in bytes of text; what is longer is cut off.
    pub reply_bytes_max: usize,
    /// Entries of the conversation the model is shown, at most.
    pub history_items_max: usize,
    /// Asks for the token counts of each reply (`stream_options`), which a few servers refuse.
    pub report_usage: bool,
    /// Tries after a refusal that may be temporary (429, 5xx, no connection), before any word has come.
    pub retries: u32,
    /// Pause before such a try, in milliseconds; a server that asks for a longer one is not tried again.
    pub retry_pause_ms: u64,
    /// Where the server is.
    pub remote: remote::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: "gpt-4.1-mini".into(),
            temperature: None,
            max_output_tokens: Some(1_024),
            reply_bytes_max: 32 * 1024,
            history_items_max: 80,
            report_usage: true,
            retries: 1,
            retry_pause_ms: 300,
            remote: remote::Config::default(),
        }
    }
}

impl Config {
    /// Whether somebody has said where to go: a key, or a base URL other than OpenAI's.
    pub fn is_configured(&self) -> bool {
        !self.remote.api_key.expose_secret().is_empty() || !self.is_openai()
    }

    fn is_openai(&self) -> bool {
        self.remote.base_url.trim_end_matches('/') == remote::Config::default().base_url
    }
}

/// The body of a request.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<prompt::Wire<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<prompt::WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<prompt::WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    // OpenAI's newer models refuse the old name, many compatible servers do not know the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// The engine. One HTTP client, whose connections are reused.
#[derive(Clone)]
pub struct OpenAi {
    client: Client<Endpoint>,
    config: Config,
}

impl OpenAi {
    /// Builds the client; connects to nothing. Fails if the key cannot stand in a header.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let remote = Remote::new(&config.remote)?;
        let http = remote.http.clone();
        let (retries, pause) = (config.retries, Duration::from_millis(config.retry_pause_ms));
        let service = tower::service_fn(move |request: HttpRequestFactory| send(http.clone(), request, retries, pause));
        let client = Client::build(remote.http.clone(), Endpoint::new(&remote)?).with_http_service(service);
        Ok(Self { client, config: config.clone() })
    }

    fn body(&self, request: &Request) -> Result<Value, Error> {
        let config = &self.config;
        let tokens_max = config.max_output_tokens.into_iter().chain(request.output_tokens_max).min();
        let (max_tokens, max_completion_tokens) = match config.is_openai() {
            true => (None, tokens_max),
            false => (tokens_max, None),
        };
        let body = Body {
            model: &config.model,
            messages: prompt::messages(request, config.history_items_max),
            stream: true,
            tools: prompt::tools(&request.tools)?,
            tool_choice: prompt::choice(request),
            stream_options: config.report_usage.then_some(StreamOptions { include_usage: true }),
            temperature: config.temperature,
            max_tokens,
            max_completion_tokens,
        };
        serde_json::to_value(body).map_err(|_| Error::new(ErrorKind::Broken, "the request cannot be written as JSON"))
    }
}

impl ChatModel for OpenAi {
    fn generate(&self, request: Request) -> BoxStream<'static, Result<Delta, Error>> {
        let this = self.clone();
        async move {
            let body = this.body(&request)?;
            // Kept for the length of the reply no more than needed: the body holds it all.
            drop(request);
            let upstream = this.client.chat().create_stream_byot(body).await.map_err(error_of)?;
            Ok(Reply::new(upstream, this.config.reply_bytes_max).into_stream())
        }
        .into_stream()
        .map(|opened: Result<_, Error>| opened.unwrap_or_else(|error| stream::once(async { Err(error) }).boxed()))
        .flatten()
        .boxed()
    }
}

/// A reply being read. Dropping it closes the connection.
struct Reply {
    upstream: Option<(StreamResponse<Value>, Assembler)>,
    ready: VecDeque<Delta>,
}

impl Reply {
    fn new(upstream: StreamResponse<Value>, bytes_max: usize) -> Self {
        Self { upstream: Some((upstream, Assembler::new(bytes_max))), ready: VecDeque::new() }
    }

    fn into_stream(self) -> BoxStream<'static, Result<Delta, Error>> {
        stream::unfold(self, |mut reply| async move { reply.next().await.map(|delta| (delta, reply)) }).boxed()
    }

    async fn next(&mut self) -> Option<Result<Delta, Error>> {
        loop {
            if let Some(delta) = self.ready.pop_front() {
                return Some(Ok(delta));
            }
            // Taken, so that whatever ends the reply also drops the connection.
            let (mut upstream, mut assembler) = self.upstream.take()?;
            let chunk = match upstream.next().await {
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => return Some(Err(error_of(error))),
                None => match assembler.finish() {
                    Ok(deltas) => {
                        self.ready.extend(deltas);
                        continue;
                    }
                    Err(error) => return Some(Err(error)),
                },
            };
            match assembler.push(chunk) {
                Ok(step) => {
                    if !step.text.is_empty() {
                        self.ready.push_back(Delta::Text(step.text.into()));
                    }
                    if !step.full {
                        self.upstream = Some((upstream, assembler));
                    } else if let Ok(deltas) = assembler.finish() {
                        self.ready.extend(deltas);
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Where the requests go, for async-openai. Its own configuration would read the environment and panic on an odd key.
#[derive(Debug, Clone)]
struct Endpoint {
    base_url: String,
    api_key: SecretString,
    headers: HeaderMap,
}

impl Endpoint {
    fn new(remote: &Remote) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        let key = remote.api_key();
        if !key.expose_secret().is_empty() {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
                .map_err(|_| Error::new(ErrorKind::Rejected, "the API key holds characters no header may hold"))?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        Ok(Self { base_url: remote.base_url().to_owned(), api_key: key.clone(), headers })
    }
}

impl async_openai::config::Config for Endpoint {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base_url
    }

    fn api_key(&self) -> &SecretString {
        &self.api_key
    }
}

/// Sends a request; tries again after a refusal that may be temporary. Its errors hold a status and the server's code for
/// it, nothing else of the body.
async fn send(
    http: reqwest::Client,
    request: HttpRequestFactory,
    mut retries: u32,
    pause: Duration,
) -> Result<reqwest::Response, OpenAIError> {
    loop {
        let (error, again) = match http.execute(request.build().await?).await {
            Ok(response) if response.status().is_success() => return Ok(response),
            Ok(response) => {
                let may_wait = asked_pause(response.headers()).is_none_or(|asked| asked <= pause);
                let error = refusal(response).await;
                let again = may_wait && error.kind.is_retryable();
                (error, again)
            }
            Err(error) => {
                // A timeout has cost enough already.
                let again = error.is_connect() && !error.is_timeout();
                (Error::from(error), again)
            }
        };
        if !again || retries == 0 {
            return Err(OpenAIError::Boxed(Box::new(error)));
        }
        retries -= 1;
        tokio::time::sleep(pause).await;
    }
}

/// How long the server asks us to wait; unreadable counts as long.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?;
    let seconds = value.to_str().ok().and_then(|text| text.parse::<f64>().ok());
    Some(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(Duration::MAX))
}

/// Bytes of a refusal that are looked at.
const REFUSAL_BYTES_MAX: usize = 16 * 1024;

/// What a refusal means. Reads the server's code for it if there is one; the sentence beside it may quote the request.
async fn refusal(mut response: reqwest::Response) -> Error {
    let status = response.status();
    let mut body = Vec::new();
    while let Ok(Some(bytes)) = response.chunk().await {
        if body.len() + bytes.len() > REFUSAL_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&bytes);
    }
    let error = serde_json::from_slice::<Value>(&body).ok().and_then(|mut body| body.get_mut("error").map(Value::take));
    let code = error.as_ref().and_then(|error| {
        let code = ["code", "type"].iter().find_map(|key| error.get(key)?.as_str())?;
        let is_word = code.len() <= 48 && code.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        is_word.then_some(code)
    });
    let kind = match code {
        // A 429 that waiting does not cure.
        Some("insufficient_quota") => ErrorKind::Rejected,
        _ => kind_of_status(status.as_u16()),
    };
    Error::new(kind, format_args!("status {}, {}", status.as_u16(), code.unwrap_or("no code")))
}

/// Our error for one of async-openai's, whose texts may quote the reply.
fn error_of(error: OpenAIError) -> Error {
    match error {
        OpenAIError::Boxed(error) => match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(_) => Error::new(ErrorKind::Broken, "the HTTP layer failed"),
        },
        OpenAIError::Reqwest(error) => Error::from(error),
        OpenAIError::StreamError(_) => Error::new(ErrorKind::Unavailable, "the connection broke off or fell silent"),
        OpenAIError::JSONDeserialize(..) => Error::new(ErrorKind::Broken, "an event of the reply is no JSON"),
        _ => Error::new(ErrorKind::Broken, "the request could not be made"),
    }
}
