//! A session on an in-memory socket with scripted engines: the real loop, the real codec, the real conversation.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use floe::{
    agent::{self, tools},
    audio::FRAME_SAMPLES,
    conversation::Settings,
    ids::SessionId,
    protocol::{
        Message,
        native::{self, NativeCodec, Offer, Welcome, frame},
    },
    session::{
        self, Attachment, Engines, LeftOff, Outgoing, Pace, Received, Start,
        returns::{Expected, Return, Returns},
    },
    stt, tts,
    vad::VoiceActivity,
};
use futures_util::Sink;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet, time};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// Whose the session is.
const OWNER: [u8; 32] = [1; 32];

/// Loud is speech: what the tests send is either a tone or nothing.
struct Loudness;

impl VoiceActivity for Loudness {
    fn probability(&mut self, frame: &[f32; FRAME_SAMPLES]) -> f32 {
        let loud = frame.iter().any(|sample| sample.abs() > 0.05);
        if loud { 0.95 } else { 0.02 }
    }

    fn reset(&mut self) {}
}

/// Engines that need no model, no program and no network.
pub(crate) fn engines(words: &[&str], agent: agent::scripted::Config) -> Engines {
    Engines {
        vad: Arc::new(|| Box::new(Loudness)),
        stt: Arc::new(stt::scripted::Scripted::new(words.iter().copied())),
        agent: Arc::new(agent::scripted::Scripted::new(agent)),
        tools: Arc::new(tools::Registry::new(Vec::new())),
        tts: Arc::new(tts::scripted::Scripted::new(tts::scripted::Config::default()).unwrap()),
    }
}

/// The client's side of a session.
pub(crate) struct Peer {
    to: Option<mpsc::Sender<Received>>,
    from: mpsc::Receiver<Outgoing>,
    tasks: JoinSet<()>,
    pub(crate) draining: CancellationToken,
    pub(crate) returns: Returns,
    sequence: u32,
}

/// Both ends of a socket in memory.
fn wires(
    room: usize,
) -> (mpsc::Sender<Received>, mpsc::Receiver<Outgoing>, Attachment<ReceiverStream<Received>, BoxSink>) {
    let (to, incoming) = mpsc::channel(64);
    let (outgoing, from) = mpsc::channel(room);
    let sender: BoxSink = Box::pin(futures_util::sink::unfold(outgoing, |outgoing, item| async move {
        outgoing.send(item).await.map_err(|_| ())?;
        Ok(outgoing)
    }));
    (to, from, Attachment { receiver: ReceiverStream::new(incoming), sender })
}

type BoxSink = Pin<Box<dyn Sink<Outgoing, Error = ()> + Send>>;

impl Peer {
    /// Begins a session with this hello. `room` is how many messages the socket takes before it blocks.
    pub(crate) fn begin(engines: Engines, settings: Settings, hello: Value, room: usize) -> Self {
        let (to, from, socket) = wires(room);
        let offer = Offer::default();
        let negotiated = native::negotiate(&Message::Text(hello.to_string()), &offer).expect("a good hello");
        let mut settings = settings.patched(negotiated.settings.clone());
        settings.playback_reports = negotiated.features.playback;
        let began = now();
        let clock = move || u64::try_from(now().duration_since(began).as_millis()).unwrap();
        let id = SessionId::new();
        let returns = Returns::default();
        let expected = negotiated.features.resume.then(|| returns.expect(offer.resume_window, OWNER));
        let welcome = Welcome { token: expected.as_ref().map(Expected::token), ..Welcome::new(id) };
        let (codec, ready) = NativeCodec::accept(&negotiated, &offer, welcome, &settings, Box::new(clock));
        let draining = CancellationToken::new();
        let start = Start {
            id,
            codec: Box::new(codec),
            settings,
            pace: if negotiated.pace == native::Pace::File { Pace::File } else { Pace::Live },
            welcome: vec![ready],
            draining: draining.clone(),
            drain_grace: Duration::from_secs(30),
            scribe: None,
            tape: None,
            kept: None,
            held: None,
            expected,
            pass: None,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { session::run(start, engines, socket).await.map(drop).expect("the formats are good") });
        Self { to: Some(to), from, tasks, draining, returns, sequence: 0 }
    }

    /// Loses the socket without a word.
    pub(crate) fn vanish(&mut self) {
        (self.to, self.from) = (None, mpsc::channel(1).1);
    }

    /// Comes back with a new socket. False if no session of this token waits.
    pub(crate) fn come_back(&mut self, token: &str, left_off: LeftOff) -> bool {
        let (to, from, socket) = wires(64);
        let found = self.returns.send(token, OWNER, Return { pass: None, socket: socket.boxed(), left_off }).is_ok();
        if found {
            (self.to, self.from) = (Some(to), from);
        }
        found
    }

    /// The socket that the server still takes for the client's, when another one takes over.
    pub(crate) fn take_old(&mut self) -> (Option<mpsc::Sender<Received>>, mpsc::Receiver<Outgoing>) {
        (self.to.take(), std::mem::replace(&mut self.from, mpsc::channel(1).1))
    }

    /// A session in PCM at 16 kHz both ways.
    pub(crate) fn plain(engines: Engines) -> Self {
        Self::begin(engines, Settings::default(), hello(), 64)
    }

    /// Sends audio in real time, 20 ms at a time.
    pub(crate) async fn sound(&mut self, loud: bool, duration: Duration) {
        for _ in 0..duration.as_millis() / 20 {
            self.frame(loud).await;
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One frame of 20 ms.
    pub(crate) async fn frame(&mut self, loud: bool) {
        let sample: i16 = if loud { 8_000 } else { 0 };
        let payload: Vec<u8> =
            (0..320).flat_map(|at| (if at % 2 == 0 { sample } else { -sample }).to_le_bytes()).collect();
        let header = frame::Header {
            kind: frame::AUDIO_UP,
            flags: 0,
            stream: 0,
            sequence: self.sequence,
            timestamp: self.sequence * 320,
        };
        self.sequence += 1;
        self.send(Received::Message(Message::Binary(header.join(&payload)))).await;
    }

    /// One control message.
    pub(crate) async fn tell(&mut self, message: Value) {
        self.send(Received::Message(Message::Text(message.to_string()))).await;
    }

    /// Anything.
    pub(crate) async fn send(&mut self, received: Received) {
        if let Some(to) = &self.to {
            let _over = to.send(received).await;
        }
    }

    /// The next thing the server says; `None` once it has hung up.
    pub(crate) async fn next(&mut self) -> Option<Said> {
        loop {
            match time::timeout(Duration::from_secs(120), self.from.recv()).await.expect("the server says something") {
                Some(Outgoing::Message(Message::Text(text))) => {
                    return Some(Said::Event(serde_json::from_str(&text).unwrap()));
                }
                Some(Outgoing::Message(Message::Binary(bytes))) => {
                    let (header, payload) = frame::Header::split(bytes).unwrap();
                    return Some(Said::Audio(header, payload));
                }
                Some(Outgoing::Ping) => self.send(Received::Alive).await,
                Some(Outgoing::Close(code, _)) => return Some(Said::Close(code)),
                None => return None,
            }
        }
    }

    /// The next thing on the socket as it is, pings unanswered.
    pub(crate) async fn raw(&mut self) -> Option<Outgoing> {
        time::timeout(Duration::from_secs(120), self.from.recv()).await.expect("the server pings or hangs up")
    }

    /// Everything up to and including the next event of this type.
    pub(crate) async fn until(&mut self, kind: &str) -> Vec<Said> {
        let mut all = Vec::new();
        while let Some(said) = self.next().await {
            let found = said.kind() == kind;
            all.push(said);
            if found {
                return all;
            }
        }
        panic!("the server hung up before {kind}; it said {:?}", all.iter().map(Said::kind).collect::<Vec<_>>());
    }

    /// Hangs up and waits until nothing of the session is left, which waits for clients that may come back.
    pub(crate) async fn hang_up(mut self) {
        self.to = None;
        drop(self.from);
        time::timeout(Duration::from_secs(200), self.tasks.join_next())
            .await
            .expect("the session ends")
            .unwrap()
            .unwrap();
    }

    /// Waits until the server has hung up by itself, and returns what it said until then.
    pub(crate) async fn rest(mut self) -> Vec<Said> {
        let mut all = Vec::new();
        while let Some(said) = self.next().await {
            all.push(said);
        }
        time::timeout(Duration::from_secs(60), self.tasks.join_next())
            .await
            .expect("the session ends")
            .unwrap()
            .unwrap();
        all
    }
}

/// What a server says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    Event(Value),
    Audio(frame::Header, Bytes),
    Close(u16),
}

impl Said {
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::Event(event) => event["type"].as_str().unwrap(),
            Self::Audio(..) => "audio",
            Self::Close(_) => "close",
        }
    }
}

/// The types of what was said, runs of audio written once.
pub(crate) fn kinds(said: &[Said]) -> Vec<&str> {
    let mut kinds: Vec<&str> = said.iter().map(Said::kind).collect();
    kinds.dedup();
    kinds
}

/// PCM at 16 kHz both ways, no playback reports.
pub(crate) fn hello() -> Value {
    let pcm = json!({ "formats": [{ "codec": "pcm_s16le", "rate": 16000 }] });
    json!({ "type": "hello", "client": { "name": "suite" }, "input": pcm, "output": pcm, "framing": "v1", "features": ["partials"] })
}

/// A scripted agent of this rhythm.
pub(crate) fn rhythm(first_delta_ms: u64, word_ms: u64, words: u32) -> agent::scripted::Config {
    agent::scripted::Config { first_delta_ms, word_ms, words }
}

#[expect(clippy::disallowed_methods, reason = "tokio's clock, which the tests pause")]
fn now() -> time::Instant {
    time::Instant::now()
}
