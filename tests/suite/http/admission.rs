//! Who gets a session, who does not, and how it is said.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use floe::{
    config::Config,
    engine::Error as EngineError,
    stt::{Feed, Options, SpeechToText, Update},
};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};

use crate::support::{
    duplex::{engines, hello, rhythm},
    server::Server,
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(
    server: &Server,
    origin: Option<&'static str>,
    protocol: Option<&'static str>,
) -> Result<Socket, Error> {
    let mut request = server.stream().into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", HeaderValue::from_static(origin));
    }
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(protocol));
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

/// The refusal's status and `Retry-After`.
fn refusal(result: Result<Socket, Error>) -> (u16, Option<String>) {
    match result {
        Err(Error::Http(response)) => {
            let wait = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            (response.status().as_u16(), wait)
        }
        Err(other) => panic!("refused without an answer: {other}"),
        Ok(_) => panic!("let in"),
    }
}

/// Reads until the close frame; gives its code.
async fn close_code(socket: &mut Socket) -> u16 {
    loop {
        match time::timeout(Duration::from_secs(20), socket.next()).await.expect("the server closes") {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(_)) => {}
            other => panic!("no close frame but {other:?}"),
        }
    }
}

fn small() -> Config {
    let mut config = Config::default();
    config.server.sessions_max = 2;
    config.server.hello_timeout_ms = 300;
    config.server.header_timeout_ms = 300;
    config
}

#[tokio::test]
async fn pages_from_elsewhere_need_to_be_listed() {
    let mut config = Config::default();
    config.server.origins = "https://shop.example".into();
    let server = Server::start(config, engines(&[], rhythm(1, 1, 1))).await;
    assert_eq!(refusal(connect(&server, Some("https://evil.example"), Some("floe.v1")).await).0, 403);
    assert_eq!(refusal(connect(&server, Some("null"), Some("floe.v1")).await).0, 403);
    assert!(connect(&server, Some("https://shop.example"), Some("floe.v1")).await.is_ok());
    assert!(connect(&server, None, Some("floe.v1")).await.is_ok());
    let own: &'static str = format!("http://{}", server.address).leak();
    assert!(connect(&server, Some(own), Some("floe.v1")).await.is_ok());
}

#[tokio::test]
async fn only_floe_v1_is_spoken() {
    let server = Server::start(Config::default(), engines(&[], rhythm(1, 1, 1))).await;
    assert_eq!(refusal(connect(&server, None, None).await).0, 400);
    assert_eq!(refusal(connect(&server, None, Some("floe.v9")).await).0, 400);
    assert!(connect(&server, None, Some("floe.v9, floe.v1")).await.is_ok());
}

#[tokio::test]
async fn full_means_503_with_a_time_and_places_come_back() {
    let server = Server::start(small(), engines(&[], rhythm(1, 1, 1))).await;
    let mut first = connect(&server, None, Some("floe.v1")).await.unwrap();
    let mut second = connect(&server, None, Some("floe.v1")).await.unwrap();
    for socket in [&mut first, &mut second] {
        socket.send(Message::text(hello().to_string())).await.unwrap();
    }
    assert_eq!(refusal(connect(&server, None, Some("floe.v1")).await), (503, Some("5".into())));
    first.close(None).await.unwrap();
    let again = time::timeout(Duration::from_secs(5), async {
        loop {
            if let Ok(socket) = connect(&server, None, Some("floe.v1")).await {
                return socket;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    });
    again.await.expect("the place is free again");
}

#[tokio::test]
async fn nobody_is_let_in_while_recognition_is_behind() {
    struct Behind(AtomicU64);
    impl SpeechToText for Behind {
        fn transcribe(&self, _: mpsc::Receiver<Feed>, _: Options) -> BoxStream<'static, Result<Update, EngineError>> {
            stream::empty().boxed()
        }

        fn predicted_wait_ms(&self) -> Option<u64> {
            Some(self.0.load(Ordering::Relaxed))
        }
    }
    let stt = Arc::new(Behind(AtomicU64::new(5_000)));
    let mut engines = engines(&[], rhythm(1, 1, 1));
    engines.stt = Arc::clone(&stt) as Arc<dyn SpeechToText>;
    let server = Server::start(Config::default(), engines).await;
    assert_eq!(refusal(connect(&server, None, Some("floe.v1")).await), (503, Some("2".into())));
    stt.0.store(100, Ordering::Relaxed);
    assert!(connect(&server, None, Some("floe.v1")).await.is_ok());
}

#[tokio::test]
async fn who_says_nothing_is_let_go() {
    let server = Server::start(small(), engines(&[], rhythm(1, 1, 1))).await;
    let mut socket = connect(&server, None, Some("floe.v1")).await.unwrap();
    assert_eq!(close_code(&mut socket).await, 4408);
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut rest = Vec::new();
    let closed = time::timeout(Duration::from_secs(5), half.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "half a request head is not waited for");
}

#[tokio::test]
async fn a_first_message_that_is_no_hello_is_refused_with_a_reason() {
    let server = Server::start(Config::default(), engines(&[], rhythm(1, 1, 1))).await;
    let unknown_format = r#"{"type":"hello","input":{"formats":[{"codec":"mp3"}]}}"#;
    let firsts = [
        (Message::binary(vec![0_u8; 40]), 4400),
        (Message::text("{"), 4400),
        (Message::text("{\"type\":\"bye\"}"), 4400),
        (Message::text(unknown_format), 4406),
        (Message::text("{\"type\":\"hello\",\"agent\":\"nobody\"}"), 4404),
        (Message::text("x".repeat(300 * 1024)), 1009),
    ];
    for (first, code) in firsts {
        let mut socket = connect(&server, None, Some("floe.v1")).await.unwrap();
        socket.send(first).await.unwrap();
        assert_eq!(close_code(&mut socket).await, code);
    }
}

#[tokio::test]
async fn stopping_says_goodbye_and_lets_nobody_in() {
    let server = Server::start(Config::default(), engines(&[], rhythm(1, 20, 30))).await;
    let mut socket = connect(&server, None, Some("floe.v1")).await.unwrap();
    socket.send(Message::text(hello().to_string())).await.unwrap();
    socket.send(Message::text("{\"type\":\"text\",\"text\":\"hello\",\"reply\":true}")).await.unwrap();
    // The reply is under way.
    while !matches!(socket.next().await, Some(Ok(Message::Binary(_)))) {}
    server.ask_to_stop();
    time::sleep(Duration::from_millis(100)).await;
    assert_eq!(refusal(connect(&server, None, Some("floe.v1")).await).0, 503);
    let ready = super::routes::client().get(server.http("/readyz")).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    assert_eq!(close_code(&mut socket).await, 1012);
    server.stopped().await;
}
