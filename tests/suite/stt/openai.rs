//! The remote engine against real HTTP servers on loopback that answer, stall, refuse and break off.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use floe::{
    audio::AudioPos,
    engine::{ErrorKind, remote},
    stt::{
        Error, Update,
        openai::{Config, OpenAi},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use super::{ask, frames, words};

/// What the server does with request number n (from 0).
#[derive(Debug, Clone, Copy)]
enum Answer {
    Says(&'static str),
    Status(u16),
    Raw(&'static str),
    Stalls,
}

#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    last: Mutex<Option<(HeaderMap, Bytes)>>,
}

/// A server and the task that it runs in, which ends with this.
pub(super) struct Server {
    seen: Arc<Seen>,
    _task: JoinSet<()>,
}

impl Server {
    fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }
}

fn engine(address: SocketAddr, timeout_ms: u64) -> OpenAi {
    // Fails if another test of this process was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let remote = remote::Config {
        base_url: format!("http://{address}/v1"),
        api_key: "sk-test".to_owned().into(),
        ..remote::Config::default()
    };
    OpenAi::new(&Config { remote, model: "whisper-x".into(), timeout_ms }).unwrap()
}

/// The last answer is given to all further requests.
async fn server(answers: &'static [Answer], timeout_ms: u64) -> (OpenAi, Server) {
    let seen = Arc::new(Seen::default());
    let state = Arc::clone(&seen);
    let handler = move |headers: HeaderMap, body: Bytes| {
        let seen = Arc::clone(&state);
        async move {
            let number = seen.requests.fetch_add(1, Ordering::SeqCst);
            *seen.last.lock().unwrap() = Some((headers, body));
            match answers[number.min(answers.len() - 1)] {
                Answer::Says(text) => (StatusCode::OK, serde_json::json!({ "text": text }).to_string()),
                Answer::Status(status) => (StatusCode::from_u16(status).unwrap(), "the secret words".to_owned()),
                Answer::Raw(body) => (StatusCode::OK, body.to_owned()),
                Answer::Stalls => std::future::pending().await,
            }
        }
    };
    let router = Router::new().route("/v1/audio/transcriptions", post(handler)).layer(DefaultBodyLimit::max(1 << 24));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (engine(address, timeout_ms), Server { seen, _task: task })
}

pub(super) async fn server_that_says(text: &'static str) -> (OpenAi, Server) {
    let answers = Box::leak(Box::new([Answer::Says(text)]));
    server(answers, 20_000).await
}

async fn failure(engine: &OpenAi) -> Error {
    let mut updates = ask(engine, frames(&[0.1; 4_096]), &[AudioPos(4_096), AudioPos(4_096)]).await;
    assert_eq!(updates.len(), 1, "an error ends the stream: {updates:?}");
    updates.remove(0).unwrap_err()
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    body.windows(wanted.len()).any(|it| it == wanted)
}

#[tokio::test]
async fn the_utterance_goes_out_as_wav_and_the_words_come_back() {
    let (engine, server) = server(&[Answer::Says("  turn it off \n")], 20_000).await;
    let mut samples = vec![0.25; 4_096];
    samples[0] = -1.0;
    assert_eq!(words(&engine, &samples).await, "turn it off");
    let (headers, body) = server.seen.last.lock().unwrap().take().unwrap();
    assert_eq!(headers["authorization"], "Bearer sk-test");
    assert!(headers["content-type"].to_str().unwrap().starts_with("multipart/form-data"));
    for (name, value) in [("model", "whisper-x"), ("response_format", "json"), ("temperature", "0")] {
        let field = format!("name=\"{name}\"\r\n\r\n{value}\r\n");
        assert!(contains(&body, field.as_bytes()), "{name}");
    }
    assert!(contains(&body, b"filename=\"utterance.wav\"\r\nContent-Type: audio/wav"));
    let at = body.windows(4).position(|it| it == b"RIFF").unwrap();
    let mut wav = hound::WavReader::new(&body[at..at + 44 + 2 * samples.len()]).unwrap();
    assert_eq!((wav.spec().sample_rate, wav.spec().channels, wav.spec().bits_per_sample), (16_000, 1, 16));
    let sent: Vec<i16> = wav.samples().map(Result::unwrap).collect();
    assert_eq!((sent.len(), sent[0], sent[1]), (4_096, -32_767, 8_192));
}

#[tokio::test]
async fn one_hiccup_is_survived() {
    for first in [Answer::Status(429), Answer::Status(500), Answer::Status(503)] {
        let answers = Box::leak(Box::new([first, Answer::Says("hello")]));
        let (engine, server) = server(answers, 20_000).await;
        assert_eq!(words(&engine, &[0.1; 4_096]).await, "hello", "{first:?}");
        assert_eq!(server.requests(), 2);
    }
}

#[tokio::test]
async fn a_lasting_failure_is_told_as_what_it_is() {
    for (answer, kind, requests) in [
        (Answer::Status(429), ErrorKind::Busy, 2),
        (Answer::Status(500), ErrorKind::Unavailable, 2),
        (Answer::Status(401), ErrorKind::Rejected, 1),
        (Answer::Status(400), ErrorKind::Rejected, 1),
        (Answer::Raw("<html>"), ErrorKind::Broken, 1),
        (Answer::Raw("{\"txt\": 1}"), ErrorKind::Broken, 1),
    ] {
        let answers = Box::leak(Box::new([answer]));
        let (engine, server) = server(answers, 20_000).await;
        let error = failure(&engine).await;
        assert_eq!((error.kind, server.requests()), (kind, requests), "{answer:?}");
        assert!(!error.message.contains("secret"), "the server's words stay out of the message: {error}");
    }
}

#[tokio::test]
async fn a_stalled_server_is_given_up() {
    let (engine, _server) = server(&[Answer::Stalls], 100).await;
    assert_eq!(failure(&engine).await.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_the_end() {
    static LONG: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| "x".repeat(2 << 20));
    let answers = Box::leak(Box::new([Answer::Raw(LONG.as_str())]));
    let (engine, _server) = server(answers, 20_000).await;
    assert_eq!(failure(&engine).await.kind, ErrorKind::Broken);
}

#[tokio::test]
async fn a_server_that_breaks_off_or_is_not_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 65_536];
            let mut read = 0;
            // The whole request: head, form and 4,096 samples.
            while read < 4_096 * 2 + 600 {
                match socket.read(&mut request[read..]).await {
                    Ok(0) | Err(_) => break,
                    Ok(more) => read += more,
                }
            }
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"text\": \"hal").await;
        }
    });
    assert_eq!(failure(&engine(address, 20_000)).await.kind, ErrorKind::Unavailable);
    tasks.shutdown().await;
    assert_eq!(failure(&engine(address, 20_000)).await.kind, ErrorKind::Unavailable, "nobody listens there now");
}

#[tokio::test]
async fn too_little_audio_is_not_sent() {
    let (engine, server) = server(&[Answer::Says("hello")], 20_000).await;
    let updates = ask(&engine, frames(&[0.1; 1_024]), &[AudioPos(1_024)]).await;
    assert!(matches!(updates.as_slice(), [Ok(Update::Final { text, .. })] if text.is_empty()), "{updates:?}");
    assert_eq!(server.requests(), 0);
}
