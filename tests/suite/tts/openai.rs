//! The remote voice, against a server on a loopback socket that speaks the real protocol and misbehaves on demand.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use floe::{
    engine::{ErrorKind, remote},
    tts::{
        Segment, TextToSpeech as _,
        openai::{Config, OpenAi},
    },
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use super::{joined, level, seconds, segment, spoken};

const KEY: &str = "sk-test";

/// A speech server; what it does depends on the voice asked for. Ends when dropped.
pub(super) struct Server {
    address: std::net::SocketAddr,
    seen: Arc<Seen>,
    _scope: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Value>>,
    open: AtomicUsize,
}

/// Counts a body as open until it is dropped, as it is when the client goes away.
struct Open(Arc<Seen>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        // Another test may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Seen>::default();
        let router = Router::new().route("/v1/audio/speech", post(speech)).with_state(seen.clone());
        let mut scope = JoinSet::new();
        scope.spawn(async move { serve(listener, router).await });
        Self { address, seen, _scope: scope }
    }

    pub(super) fn config(&self) -> Config {
        let remote = remote::Config {
            base_url: format!("http://{}/v1/", self.address),
            api_key: KEY.into(),
            read_timeout_ms: 400,
            ..remote::Config::default()
        };
        Config { remote, ..Config::default() }
    }

    pub(super) fn requests(&self) -> usize {
        self.seen.requests.lock().unwrap().len()
    }

    pub(super) fn last_request(&self) -> Value {
        self.seen.requests.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

/// A plain accept loop: the server needs nothing of what `axum::serve` would add.
async fn serve(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let socket = hyper_util::rt::TokioIo::new(socket);
        connections.spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(socket, service).await;
        });
    }
}

/// One second of a 440 Hz tone at 24 kHz.
fn tone() -> Vec<u8> {
    let sample = |n: u32| (8_000.0 * (f64::from(n) * std::f64::consts::TAU * 440.0 / 24_000.0).sin()) as i16;
    (0..24_000).flat_map(|n| sample(n).to_le_bytes()).collect()
}

fn wav() -> Vec<u8> {
    let mut bytes = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    bytes.extend(22_050u32.to_le_bytes());
    bytes.extend(44_100u32.to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data\xff\xff\xff\xff");
    bytes.extend(tone());
    bytes
}

async fn speech(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let voice = request["voice"].as_str().unwrap().to_owned();
    seen.requests.lock().unwrap().push(request);
    if headers.get(header::AUTHORIZATION).is_none_or(|value| value != &format!("Bearer {KEY}")) {
        let body = json!({"error": {"message": "Incorrect API key provided: sk-te*t", "type": "invalid_request_error", "code": "invalid_api_key"}});
        return (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response();
    }
    seen.open.fetch_add(1, Ordering::SeqCst);
    let open = Open(seen.clone());
    let pieces = |bytes: Vec<u8>, size: usize| bytes.chunks(size).map(Bytes::copy_from_slice).collect::<Vec<_>>();
    let streamed = |kind: &'static str, pieces: Vec<Bytes>, forever: bool| {
        let ending = if forever { stream::pending().boxed() } else { stream::empty().boxed() };
        let body = stream::iter(pieces).chain(ending).map(move |piece| {
            let _open = &open;
            Ok::<_, Infallible>(piece)
        });
        ([(header::CONTENT_TYPE, kind)], Body::from_stream(body)).into_response()
    };
    match &*voice {
        "odd" => streamed("audio/pcm", pieces(tone(), 777), false),
        "bytewise" => streamed("audio/pcm", pieces(tone()[..400].to_vec(), 1), false),
        "wav" => streamed("audio/wav", pieces(wav(), 13), false),
        "split" => streamed("audio/pcm", pieces(tone()[..4_001].to_vec(), 1_000), false),
        "stall" => streamed("audio/pcm", pieces(tone(), 4_800), true),
        "mute" => streamed("audio/pcm", Vec::new(), true),
        "nothing" => streamed("audio/pcm", Vec::new(), false),
        "endless" => {
            let tone = Bytes::from(tone());
            let body = stream::repeat(Ok::<_, Infallible>(tone));
            Body::from_stream(body).into_response()
        }
        "broken" => {
            let pieces = pieces(tone(), 4_800).into_iter().take(3).map(Ok);
            let end = stream::iter([Err(std::io::Error::other("gone"))]);
            Body::from_stream(stream::iter(pieces).chain(end)).into_response()
        }
        "page" => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], "<h1>hello</h1>").into_response(),
        "mp3" => ([(header::CONTENT_TYPE, "audio/mpeg")], vec![0xff_u8; 4_000]).into_response(),
        "busy" => StatusCode::TOO_MANY_REQUESTS.into_response(),
        "down" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "unknown" => (StatusCode::BAD_REQUEST, "you said: my secret").into_response(),
        _ => streamed("audio/pcm", pieces(tone(), 4_800), false),
    }
}

fn voiced(voice: &str) -> Segment {
    Segment { voice: voice.into(), ..segment("Hello there.") }
}

#[tokio::test]
async fn the_request_is_what_the_protocol_says() {
    let server = Server::start().await;
    let engine = OpenAi::new(Config { instructions: "Calm.".into(), speed: 1.5, ..server.config() }).unwrap();
    let pieces = spoken(&engine, segment("Hello.")).await.unwrap();
    assert_eq!(pieces[0].rate_hz, 24_000);
    let expected = json!({
        "model": "gpt-4o-mini-tts", "input": "Hello.", "voice": "alloy", "response_format": "pcm",
        "instructions": "Calm.", "speed": 1.5,
    });
    assert_eq!(server.last_request(), expected);
    for (asked, sent) in [(2.0, 3.0), (4.0, 4.0), (0.25, 0.375)] {
        spoken(&engine, Segment { speed: asked, ..segment("Hello.") }).await.unwrap();
        assert_eq!(server.last_request()["speed"], sent, "{asked}");
    }
    let plain = OpenAi::new(server.config()).unwrap();
    spoken(&plain, voiced("nova")).await.unwrap();
    let expected =
        json!({"model": "gpt-4o-mini-tts", "input": "Hello there.", "voice": "nova", "response_format": "pcm"});
    assert_eq!(server.last_request(), expected);
}

#[tokio::test]
async fn every_way_to_cut_the_bytes_gives_the_same_sound() {
    let server = Server::start().await;
    let engine = OpenAi::new(server.config()).unwrap();
    let whole = joined(&spoken(&engine, voiced("even")).await.unwrap());
    assert_eq!(whole.len(), 24_000);
    assert!((level(&whole) - 8_000.0 / 32_768.0 / 2.0_f64.sqrt()).abs() < 0.001);
    assert_eq!(joined(&spoken(&engine, voiced("odd")).await.unwrap()), whole);
    assert_eq!(joined(&spoken(&engine, voiced("bytewise")).await.unwrap()), whole[..200]);
    let wav = spoken(&engine, voiced("wav")).await.unwrap();
    assert!(wav.iter().all(|piece| piece.rate_hz == 22_050));
    assert_eq!(joined(&wav), whole, "a server that sends WAV all the same");
}

#[tokio::test]
async fn failures_say_what_a_retry_is_worth() {
    let server = Server::start().await;
    let config = Config { first_piece_timeout_ms: 300, max_segment_ms: 20_000, ..server.config() };
    let engine = OpenAi::new(config).unwrap();
    let cases = [
        ("stall", ErrorKind::Unavailable),
        ("mute", ErrorKind::Unavailable),
        ("broken", ErrorKind::Unavailable),
        ("busy", ErrorKind::Busy),
        ("down", ErrorKind::Unavailable),
        ("unknown", ErrorKind::Rejected),
        ("nothing", ErrorKind::Broken),
        ("endless", ErrorKind::Broken),
        ("split", ErrorKind::Broken),
        ("page", ErrorKind::Broken),
        ("mp3", ErrorKind::Broken),
    ];
    for (voice, kind) in cases {
        let error = spoken(&engine, voiced(voice)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{voice}: {error}");
        assert!(!error.message.contains("secret") && !error.message.contains("127.0.0.1"), "{voice}: {error}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_named_without_showing_it() {
    let server = Server::start().await;
    let mut config = server.config();
    config.remote.api_key = "sk-wrong".into();
    let error = spoken(&OpenAi::new(config).unwrap(), segment("Hello.")).await.unwrap_err();
    assert_eq!((error.kind, &*error.message), (ErrorKind::Rejected, "HTTP 401 (invalid_api_key)"));
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let server = Server::start().await;
    let config = server.config();
    drop(server);
    let error = spoken(&OpenAi::new(config).unwrap(), segment("Hello.")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn speech_comes_before_the_server_has_finished_and_dropping_closes_the_connection() {
    let server = Server::start().await;
    let mut config = server.config();
    config.remote.read_timeout_ms = 60_000;
    let engine = OpenAi::new(config).unwrap();
    let mut stream = engine.synthesize(voiced("stall"));
    let mut heard = Vec::new();
    while seconds(&heard) < 0.99 {
        heard.push(stream.next().await.unwrap().unwrap());
    }
    assert_eq!(server.seen.open.load(Ordering::SeqCst), 1, "the answer is still open");
    drop(stream);
    for _ in 0..500 {
        if server.seen.open.load(Ordering::SeqCst) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server still speaks to nobody");
}

#[test]
fn impossible_settings_are_refused() {
    for config in [Config { speed: 9.0, ..Config::default() }, Config { rate_hz: 1, ..Config::default() }] {
        assert!(OpenAi::new(config).is_err());
    }
}
