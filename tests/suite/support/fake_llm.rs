//! A chat-completions server for tests: OpenAI's protocol with real events over a real loopback socket, its replies written
//! beforehand.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "the stand-ins of tests panic like the tests they serve")]

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::post,
};
use floe::engine::remote;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// A piece of a reply.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// An event with this JSON.
    Event(Value),
    /// These bytes, as one write.
    Bytes(Vec<u8>),
    /// `[DONE]`.
    Done,
    /// Silence for a while.
    Pause(Duration),
    /// Silence until the client goes.
    Stall,
    /// The connection is cut.
    BreakOff,
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Streams events with status 200.
    Stream(Vec<Step>),
    /// Refuses.
    Refuse { status: u16, retry_after: Option<&'static str>, body: Value },
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

struct Shared {
    /// The last one is given again and again.
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<Asked>>,
    /// Streams whose body was dropped before it was written to its end: the client went away.
    abandoned: watch::Sender<usize>,
}

/// The server; ends when dropped.
pub(crate) struct FakeLlm {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[allow(dead_code, reason = "the tests of the agent and of whole sessions need different parts")]
impl FakeLlm {
    /// Serves these replies in order, the last for good.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies.into_iter().collect()),
            asked: Mutex::default(),
            abandoned: watch::Sender::new(0),
        });
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, _tasks: tasks }
    }

    /// Where it is, for an engine.
    pub(crate) fn remote(&self) -> remote::Config {
        remote::Config {
            base_url: format!("http://{}/v1", self.address),
            api_key: "secret-key".to_owned().into(),
            connect_timeout_ms: 2_000,
            read_timeout_ms: 10_000,
        }
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Waits until clients have abandoned `count` replies; false after ten seconds.
    pub(crate) async fn abandoned(&self, count: usize) -> bool {
        let mut abandoned = self.shared.abandoned.subscribe();
        let reached = abandoned.wait_for(|so_far| *so_far >= count);
        matches!(tokio::time::timeout(Duration::from_secs(10), reached).await, Ok(Ok(_)))
    }
}

/// A reply of these words, one event each, with finish reason and usage.
pub(crate) fn words(text: &str) -> Reply {
    let mut steps: Vec<Step> =
        text.split_inclusive(' ').map(|word| Step::Event(delta(json!({"content": word})))).collect();
    steps.extend([Step::Event(finish("stop")), Step::Event(usage(12, 7)), Step::Done]);
    Reply::Stream(steps)
}

/// An event with this delta.
pub(crate) fn delta(delta: Value) -> Value {
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
           "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

/// The event that ends a reply.
pub(crate) fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

/// The event that counts tokens.
pub(crate) fn usage(prompt: u64, completion: u64) -> Value {
    json!({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    shared.asked.lock().unwrap().push(Asked { authorization, body: serde_json::from_slice(&body).unwrap() });
    let reply = {
        let mut replies = shared.replies.lock().unwrap();
        if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
    };
    match reply.expect("the test gave no reply") {
        Reply::Refuse { status, retry_after, body } => {
            let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
            let response = match retry_after {
                Some(seconds) => response.header("retry-after", seconds),
                None => response,
            };
            response.body(Body::from(body.to_string())).unwrap()
        }
        Reply::Stream(steps) => {
            let written = stream::unfold(Writer { steps: steps.into(), shared }, |mut writer| async move {
                writer.next().await.map(|bytes| (bytes, writer))
            });
            let body = Body::from_stream(written.boxed());
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
    }
}

/// A reply being written.
struct Writer {
    steps: VecDeque<Step>,
    shared: Arc<Shared>,
}

impl Writer {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            // A pause stays in the list while it lasts, so that going away during it counts as abandoning.
            let bytes = match self.steps.front()?.clone() {
                Step::Event(event) => format!("data: {event}\n\n").into_bytes(),
                Step::Bytes(bytes) => bytes,
                Step::Done => b"data: [DONE]\n\n".to_vec(),
                Step::Pause(length) => {
                    tokio::time::sleep(length).await;
                    self.steps.pop_front();
                    continue;
                }
                Step::Stall => std::future::pending().await,
                Step::BreakOff => {
                    self.steps.clear();
                    return Some(Err(io::ErrorKind::ConnectionReset.into()));
                }
            };
            self.steps.pop_front();
            return Some(Ok(bytes.into()));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.steps.is_empty() {
            self.shared.abandoned.send_modify(|count| *count += 1);
        }
    }
}
