//! A client of the native dialect that types.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::server::Server;

/// A client of the native dialect.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Everything it was told, also that the socket was closed.
    pub(crate) seen: Vec<Value>,
}

impl Client {
    pub(crate) async fn connect(server: &Server, hello: Value) -> Result<Self, Error> {
        let mut request = server.stream().into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("floe.v1"));
        let (mut socket, _) = connect_async(request).await?;
        socket.send(Message::text(hello.to_string())).await?;
        Ok(Self { socket, seen: Vec::new() })
    }

    /// With this hello, and what `ready` says.
    pub(crate) async fn begin(server: &Server, hello: Value) -> (Self, Value) {
        let mut client = Self::connect(server, hello).await.unwrap();
        let ready = client.until("ready").await;
        (client, ready)
    }

    pub(crate) async fn tell(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next event of this type; a close frame is an event of type `close`.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        let looking = async {
            loop {
                let event: Value = match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
                    Some(Ok(Message::Close(Some(frame)))) => {
                        json!({ "type": "close", "code": u16::from(frame.code), "reason": frame.reason.as_str() })
                    }
                    Some(Ok(_)) => continue,
                    other => panic!("waiting for {kind}, but {other:?}"),
                };
                self.seen.push(event.clone());
                if event["type"] == kind {
                    return event;
                }
            }
        };
        time::timeout(Duration::from_secs(30), looking).await.unwrap_or_else(|_| panic!("no {kind}"))
    }

    /// What it was told, or will be, of this turn's fate.
    pub(crate) async fn committed(&mut self, turn: u32) -> Value {
        let is_it = |event: &Value| event["type"] == "turn.committed" && event["turn"] == turn;
        if let Some(seen) = self.seen.iter().find(|event| is_it(event)) {
            return seen.clone();
        }
        loop {
            let event = self.until("turn.committed").await;
            if is_it(&event) {
                return event;
            }
        }
    }

    pub(crate) async fn ask(&mut self, text: &str) -> Value {
        self.tell(json!({ "type": "text", "text": text, "reply": true })).await;
        self.until("reply.done").await
    }
}
