//! Somebody who goes on talking whatever happens to the server, and writes down what he was told.

use std::time::Duration;

use floe::ids::ConversationId;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{chance::Chance, node::PATIENCE};

/// What one client did, and what it was told.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Its words, in the order in which they were sent. No two are alike.
    pub(super) sent: Vec<Sent>,
    /// Turns of which it was told that they are durable.
    pub(super) acknowledged: Vec<Acknowledged>,
    /// Turns of which it was told that they are not.
    pub(super) not_durable: usize,
    /// Replies that came to their end.
    pub(super) replies: usize,
    /// How often it found its session again, went on with its conversation, and was told that another has it.
    pub(super) resumed: usize,
    pub(super) went_on: usize,
    pub(super) taken_over: usize,
    /// Words that were acknowledged and that the server did not know any more when the conversation went on.
    pub(super) forgotten: Vec<String>,
    /// Answers that did not come in time.
    pub(super) stalled: usize,
}

/// Words on their way.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) text: String,
    pub(super) conversation: Uuid,
}

/// `turn.committed` with `durable`.
#[derive(Debug, Clone)]
pub(super) struct Acknowledged {
    pub(super) conversation: Uuid,
    pub(super) turn: i64,
    pub(super) text: String,
}

/// How a wait ended.
enum Heard {
    Event(Value),
    /// A close frame with this code, or no close frame.
    Closed(Option<u16>),
}

/// A client of the native dialect.
pub(super) struct Talker {
    name: String,
    ports: Vec<u16>,
    chance: Chance,
    pub(super) log: Log,
    conversation: Option<String>,
    token: Option<String>,
    last_n: u64,
    /// Words of this session that have not been acknowledged. Nothing else is said before they are, or given up.
    pending: Option<String>,
    socket: Option<WebSocketStream<MaybeTlsStream<TcpStream>>>,
}

impl Talker {
    /// One who knows these servers.
    pub(super) fn new(name: String, ports: Vec<u16>, chance: Chance) -> Self {
        let (conversation, token, pending) = (None, None, None);
        Self { name, ports, chance, log: Log::default(), conversation, token, last_n: 0, pending, socket: None }
    }

    /// Talks until it is told to end; then, with everything up again, says one thing more, which must be kept, and goodbye.
    pub(super) async fn talk(mut self, stop: CancellationToken) -> Log {
        while !stop.is_cancelled() {
            if self.connect().await.is_some() {
                self.converse(&stop).await;
            }
            time::sleep(self.chance.ms(5, 60)).await;
        }
        let last = async {
            loop {
                let before = self.log.acknowledged.len();
                let is_there = self.socket.is_some() || self.connect().await.is_some();
                if is_there
                    && self.settle().await.is_some()
                    && self.exchange().await.is_some()
                    && self.log.acknowledged.len() > before
                {
                    return;
                }
                self.socket = None;
                time::sleep(Duration::from_millis(100)).await;
            }
        };
        time::timeout(PATIENCE, last).await.expect("with everything up again, a turn is kept");
        self.leave().await;
        self.log
    }

    /// It may have said something when it lost the socket. Either that was heard, and is answered now, or it never will be:
    /// then it begins afresh.
    async fn settle(&mut self) -> Option<()> {
        if self.pending.is_some()
            && !matches!(time::timeout(Duration::from_secs(2), self.answered()).await, Ok(Some(())))
        {
            (self.token, self.socket) = (None, None);
            return None;
        }
        Some(())
    }

    async fn converse(&mut self, stop: &CancellationToken) {
        if self.settle().await.is_none() {
            return;
        }
        while !stop.is_cancelled() {
            if self.exchange().await.is_none() {
                self.socket = None;
                return;
            }
            // Below twelve messages a second, which is what a server takes in the long run.
            time::sleep(self.chance.ms(60, 120)).await;
            if self.chance.percent(4) {
                // A network that changes in the middle of something: the server is not told.
                if self.chance.percent(50) {
                    let _gone_already = self.say().await;
                }
                self.socket = None;
                // Another device: it does not know the token.
                if self.chance.percent(50) {
                    self.token = None;
                }
                return;
            }
        }
    }

    /// Connects to any of the servers: to its session, else to its conversation, else to a new one.
    pub(super) async fn connect(&mut self) -> Option<()> {
        let port = self.ports[self.chance.below(self.ports.len())];
        let conversation = self.conversation.clone();
        self.connect_to(port, conversation).await
    }

    /// Connects to this server, and goes on with this conversation.
    pub(super) async fn connect_to(&mut self, port: u16, conversation: Option<String>) -> Option<()> {
        let mut request = format!("ws://127.0.0.1:{port}/v1/stream").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("floe.v1"));
        let connecting = time::timeout(Duration::from_secs(10), connect_async(request));
        let (mut socket, _) = connecting.await.ok()?.ok()?;
        let mut hello = json!({ "type": "hello", "features": ["resume"], "speak": false });
        if let Some(conversation) = &conversation {
            hello["conversation"] = json!(conversation);
        }
        if let Some(token) = &self.token {
            hello["resume"] = json!({ "token": token, "last_n": self.last_n });
        }
        socket.send(Message::text(hello.to_string())).await.ok()?;
        self.socket = Some(socket);
        match self.hear().await? {
            Heard::Event(ready) if ready["type"] == "ready" => self.welcomed(&ready, conversation.as_deref()),
            Heard::Event(error) if error["code"] == "unknown_conversation" => {
                // It never reached the database: its words wait in a spool.
                (self.conversation, self.token) = (None, None);
                self.socket = None;
                return None;
            }
            _ => {
                self.socket = None;
                return None;
            }
        }
        Some(())
    }

    /// Connects to this server, which may have to wait for somebody else to let go of the conversation.
    pub(super) async fn reach(&mut self, port: u16, conversation: &str) {
        let reaching = async {
            while self.connect_to(port, Some(conversation.to_owned())).await.is_none() {
                time::sleep(Duration::from_millis(50)).await;
            }
        };
        time::timeout(PATIENCE, reaching).await.expect("the conversation goes on");
    }

    fn welcomed(&mut self, ready: &Value, wanted: Option<&str>) {
        let is_resumed = ready["resumed"] == true;
        let conversation = ready["conversation"].as_str().expect("this server keeps conversations").to_owned();
        if is_resumed {
            self.log.resumed += 1;
        } else {
            assert_ne!(ready["reason"], "missed", "it keeps what this client may have missed: {ready}");
            self.pending = None;
        }
        if let Some(wanted) = wanted {
            assert!(is_resumed || conversation == wanted, "it was asked for {wanted}: {ready}");
        }
        self.conversation = Some(conversation);
        if wanted.is_some() && !is_resumed {
            self.log.went_on += 1;
            self.look_for_what_was_said(ready);
        }
        self.token = ready["resume"]["token"].as_str().map(str::to_owned);
        self.last_n = ready["n"].as_u64().expect("it is numbered");
    }

    /// What was acknowledged is part of the conversation that goes on (`ready` tells of the newest 200 items).
    fn look_for_what_was_said(&mut self, ready: &Value) {
        let id = self.id();
        let told: Vec<&str> =
            ready["items"].as_array().into_iter().flatten().filter_map(|it| it["text"].as_str()).collect();
        let here = self.log.acknowledged.iter().rev().filter(|turn| turn.conversation == id).take(50);
        let forgotten = here.filter(|turn| !told.contains(&turn.text.as_str())).map(|turn| turn.text.clone());
        let forgotten: Vec<String> = forgotten.collect();
        self.log.forgotten.extend(forgotten);
    }

    /// The conversation that is going on.
    pub(super) fn id(&self) -> Uuid {
        let text = self.conversation.as_deref().expect("connected");
        text.parse::<ConversationId>().unwrap().uuid()
    }

    /// Says something and waits until it is answered, and known whether it is kept. `None` if the server is gone.
    pub(super) async fn exchange(&mut self) -> Option<()> {
        self.say().await?;
        self.answered().await
    }

    async fn answered(&mut self) -> Option<()> {
        let mut is_answered = false;
        while !is_answered || self.pending.is_some() {
            match self.hear().await? {
                Heard::Event(event) => is_answered |= self.note(&event),
                Heard::Closed(code) => {
                    self.log.taken_over += usize::from(code == Some(4409));
                    return None;
                }
            }
        }
        Some(())
    }

    /// Says something that nobody has said before.
    pub(super) async fn say(&mut self) -> Option<()> {
        assert_eq!(self.pending, None, "one thing at a time");
        let text = format!("{} says {}", self.name, self.log.sent.len() + 1);
        self.log.sent.push(Sent { text: text.clone(), conversation: self.id() });
        self.pending = Some(text.clone());
        let message = json!({ "type": "text", "text": text, "reply": true });
        self.socket.as_mut()?.send(Message::text(message.to_string())).await.ok()
    }

    /// Notes what an event says. True at the end of a reply.
    fn note(&mut self, event: &Value) -> bool {
        match event["type"].as_str() {
            Some("turn.committed") => {
                let text = self.pending.take().expect("one turn for each that was sent");
                if event["durable"] == true {
                    let (conversation, turn) = (self.id(), event["turn"].as_i64().unwrap());
                    self.log.acknowledged.push(Acknowledged { conversation, turn, text });
                } else {
                    self.log.not_durable += 1;
                }
                false
            }
            Some("reply.done") => {
                self.log.replies += 1;
                true
            }
            _ => false,
        }
    }

    /// The next event; its number follows on the last one's. `None` if nothing comes.
    async fn hear(&mut self) -> Option<Heard> {
        let is_fresh = self.last_n;
        let socket = self.socket.as_mut()?;
        let hearing = async {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Text(text))) => return Heard::Event(serde_json::from_str(&text).unwrap()),
                    Some(Ok(Message::Close(frame))) => return Heard::Closed(frame.map(|frame| frame.code.into())),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Heard::Closed(None),
                }
            }
        };
        let Ok(heard) = time::timeout(Duration::from_secs(12), hearing).await else {
            self.log.stalled += 1;
            return None;
        };
        if let Heard::Event(event) = &heard
            && event["type"] != "ready"
            && let Some(n) = event["n"].as_u64()
            && !event["code"].is_string()
        {
            assert_eq!(n, is_fresh + 1, "no message is missing, none comes twice: {event}");
            self.last_n = n;
        }
        Some(heard)
    }

    /// Waits for the close frame, and gives its code; notes what comes before it.
    pub(super) async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.hear().await? {
                Heard::Event(event) => drop(self.note(&event)),
                Heard::Closed(code) => return code,
            }
        }
    }

    /// Says goodbye.
    pub(super) async fn leave(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        let bye = json!({ "type": "bye", "flush": true }).to_string();
        if socket.send(Message::text(bye)).await.is_ok() {
            self.closed().await;
        }
        self.socket = None;
    }

    /// The conversation, as clients name it.
    pub(super) fn conversation(&self) -> String {
        self.conversation.clone().expect("connected")
    }
}
