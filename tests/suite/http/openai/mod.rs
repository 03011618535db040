//! What OpenAI's clients find, over real sockets. Rows of the conformance checklist are named by their number.

use std::{io::Cursor, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use floe::{
    audio::{Samples, wav},
    config::Config,
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::{HeaderName, HeaderValue, Response},
    },
};

use crate::support::server::Server;

mod admission;
mod errors;
mod handshake;
mod life;
mod logs;
mod manual;
#[cfg(feature = "whisper")]
mod real;
mod secrets;
mod speech;
mod tls;
mod transcriptions;

/// The key of servers that have one.
const KEY: &str = "sk_test_Zk3vJq8";

/// A client of `/v1/realtime`.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

type Opened = Result<(Client, Response<Option<Vec<u8>>>), Error>;

/// Opens a socket at this path with these headers.
async fn open(server: &Server, path: &str, headers: &[(&str, &str)]) -> Opened {
    let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    }
    let (socket, response) = connect_async(request).await?;
    Ok((Client { socket }, response))
}

/// Opens `/v1/realtime` and reads `session.created`.
async fn talk(server: &Server) -> (Client, Value) {
    let (mut client, _) = open(server, "/v1/realtime?model=any", &[]).await.unwrap();
    let created = client.next().await;
    assert_eq!(created["type"], "session.created");
    (client, created)
}

/// The status, headers and body of a refused upgrade.
fn refused(opened: Opened) -> (u16, Option<String>, Value) {
    match opened {
        Err(Error::Http(response)) => {
            let wait = response.headers().get("retry-after").map(|wait| wait.to_str().unwrap().to_owned());
            let body = response.body().as_deref().unwrap_or_default();
            (response.status().as_u16(), wait, serde_json::from_slice(body).unwrap_or_default())
        }
        Err(other) => panic!("refused without an answer: {other}"),
        Ok(_) => panic!("let in"),
    }
}

impl Client {
    async fn send(&mut self, event: Value) {
        self.socket.send(Message::text(event.to_string())).await.unwrap();
    }

    async fn message(&mut self) -> Message {
        time::timeout(Duration::from_secs(60), self.socket.next())
            .await
            .expect("the server says something")
            .unwrap()
            .unwrap()
    }

    /// The next event.
    async fn next(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("no event but {other:?}"),
            }
        }
    }

    /// The next event of this type; what comes before it is passed over.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().await;
            assert!(event["type"] != "error" || kind == "error", "{event}");
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Reads until the close frame: the last error before it, and the code.
    async fn closed(&mut self) -> (Value, u16) {
        let mut error = Value::Null;
        loop {
            match self.message().await {
                Message::Close(Some(frame)) => return (error, frame.code.into()),
                Message::Text(text) => {
                    let event: Value = serde_json::from_str(&text).unwrap();
                    if event["type"] == "error" {
                        error = event["error"].clone();
                    }
                }
                _ => {}
            }
        }
    }

    /// Appends audio as a client does: base64 of 16-bit samples at 24 kHz.
    async fn append(&mut self, loud: bool, ms: usize) {
        // A tone of 1 kHz: what lies above 8 kHz is gone once it is heard.
        let sample = |at: usize| {
            if !loud {
                0
            } else if at % 24 < 12 {
                8_000_i16
            } else {
                -8_000
            }
        };
        let bytes: Vec<u8> = (0..24 * ms).flat_map(|at| sample(at).to_le_bytes()).collect();
        self.send(json!({ "type": "input_audio_buffer.append", "audio": STANDARD.encode(bytes) })).await;
    }
}

/// The default configuration with a key.
fn locked() -> Config {
    let mut config = Config::default();
    config.server.keys = format!("sk_old_and_going {KEY}").into();
    config
}

/// Calls a route with the key.
async fn call(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.bearer_auth(KEY).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A WAV file of tones (true) and silences (false).
pub(super) fn recording(parts: &[(bool, usize)]) -> Vec<u8> {
    let mut data: Vec<f32> = Vec::new();
    for (loud, ms) in parts {
        let level = if *loud { 0.3 } else { 0.0 };
        data.extend((0..16 * ms).map(|at| if at % 2 == 0 { level } else { -level }));
    }
    let mut file = Cursor::new(Vec::new());
    wav::write(&mut file, &Samples { rate_hz: 16_000, data }).unwrap();
    file.into_inner()
}
