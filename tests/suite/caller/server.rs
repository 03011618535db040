//! A small server on a real socket that speaks `floe.v1` through the real codec, with a script for a mind.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use floe::{
    audio::{AudioChunk, AudioPos},
    conversation::{CloseReason, Event, Input, PlaybackState, Settings, Status, StopReason, Timings, Usage},
    ids::{ItemId, ResponseId, SessionId},
    protocol::{
        Codec, Incoming, Message,
        native::{NativeCodec, Offer, Welcome, close, negotiate, refusal, wire::SUBPROTOCOL},
    },
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message as WsMessage,
        handshake::server::{Request, Response},
        protocol::CloseFrame,
    },
};

/// How the server behaves.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) offer: Offer,
    /// Frames of 20 ms per reply.
    pub(super) reply_frames: u32,
    /// Leave out every so-many-th frame of a reply.
    pub(super) skip_every: Option<u32>,
    /// Whether a reply's last frame is marked.
    pub(super) mark_last: bool,
    /// Whether words are answered at all.
    pub(super) answer: bool,
    /// Close with this code when the words have been heard.
    pub(super) close: Option<u16>,
    /// Take the TCP connection and say nothing.
    pub(super) deaf: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            offer: Offer::default(),
            reply_frames: 25,
            skip_every: None,
            mark_last: true,
            answer: true,
            close: None,
            deaf: false,
        }
    }
}

/// A running server. Ends when dropped.
pub(super) struct Server {
    pub(super) url: String,
    _scope: JoinSet<()>,
}

impl Server {
    pub(super) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("ws://{}", listener.local_addr().expect("an address"));
        let mut scope = JoinSet::new();
        scope.spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                calls.spawn(serve(stream, script.clone()));
            }
        });
        Self { url, _scope: scope }
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn serve(stream: TcpStream, script: Script) {
    if script.deaf {
        return std::future::pending().await;
    }
    #[expect(clippy::result_large_err, reason = "the signature of the library's callback")]
    let choose = |request: &Request, mut response: Response| {
        assert_eq!(request.uri().path(), "/v1/stream");
        response.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().expect("a header"));
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, choose).await.expect("a WebSocket handshake");
    let Some(Ok(WsMessage::Text(hello))) = socket.next().await else { panic!("hello is text") };
    let negotiated = match negotiate(&Message::Text(hello.to_string()), &script.offer) {
        Ok(negotiated) => negotiated,
        Err(error) => {
            send(&mut socket, refusal(&error, &script.offer)).await;
            return hang_up(&mut socket, error.close.expect("refusals close")).await;
        }
    };
    let (codec, ready) = NativeCodec::accept(
        &negotiated,
        &script.offer,
        Welcome::new(SessionId::new()),
        &Settings::default(),
        Box::new(|| 0),
    );
    send(&mut socket, ready).await;
    Mind { socket, codec, script, heard_ms: 0, turn: ItemId(0), reply: None }.run().await;
}

async fn send(socket: &mut Socket, message: Message) {
    let message = match message {
        Message::Text(text) => WsMessage::text(text),
        Message::Binary(bytes) => WsMessage::binary(bytes),
    };
    // The caller may have vanished: that is one of the tests.
    let _ = socket.send(message).await;
}

async fn hang_up(socket: &mut Socket, code: u16) {
    let _ = socket.close(Some(CloseFrame { code: code.into(), reason: "as scripted".into() })).await;
    while let Some(Ok(_)) = socket.next().await {}
}

/// Hears words in the first second, answers them, and stops answering when something loud comes.
struct Mind {
    socket: Socket,
    codec: NativeCodec,
    script: Script,
    heard_ms: u64,
    turn: ItemId,
    reply: Option<ResponseId>,
}

impl Mind {
    async fn run(mut self) {
        while let Some(Ok(message)) = self.socket.next().await {
            let message = match message {
                WsMessage::Text(text) => Message::Text(text.to_string()),
                WsMessage::Binary(bytes) => Message::Binary(bytes),
                WsMessage::Close(_) => return,
                _ => continue,
            };
            for incoming in self.codec.decode(message).expect("the caller keeps the protocol") {
                match incoming {
                    Incoming::Audio(packet) => self.hear(&packet.payload).await,
                    Incoming::Answer(answer) => send(&mut self.socket, answer).await,
                    Incoming::Input(Input::PlaybackProgress { response, state: PlaybackState::Drained, .. })
                        if self.reply == Some(response) =>
                    {
                        self.done(Status::Completed).await;
                    }
                    Incoming::Input(Input::Goodbye { .. }) => {
                        self.tell(Event::Ended(CloseReason::Goodbye)).await;
                        return hang_up(&mut self.socket, close::NORMAL).await;
                    }
                    Incoming::Input(_) | Incoming::Formats { .. } | Incoming::Recording { .. } => {}
                    Incoming::Refused(error) => panic!("the caller said something wrong: {error}"),
                }
            }
        }
    }

    async fn tell(&mut self, event: Event) {
        let mut out = Vec::new();
        self.codec.encode(&event, &mut out);
        for message in out {
            send(&mut self.socket, message).await;
        }
    }

    /// Frames are of 20 ms, whatever the format.
    async fn hear(&mut self, payload: &Bytes) {
        let before = self.heard_ms;
        self.heard_ms += 20;
        let passed = |ms| before < ms && before + 20 >= ms;
        if self.reply.is_some() && self.turn == ItemId(1) && self.heard_ms > 1_000 && self.is_loud(payload) {
            let reply = self.reply.expect("just checked");
            let heard = Duration::from_millis(300);
            self.tell(Event::PlaybackFlushed { response: reply, heard, heard_text: Arc::from("one") }).await;
            self.done(Status::Interrupted).await;
            self.words("and now").await;
        } else if passed(200) {
            self.tell(Event::SpeechStarted { item: ItemId(1), at: AudioPos::from_ms(100) }).await;
        } else if passed(400) {
            let partial =
                |stable, unstable| Event::TranscriptPartial { item: ItemId(1), revision: 1, stable, unstable };
            self.tell(partial(Arc::from("hel"), Arc::from("lo"))).await;
        } else if passed(1_000) {
            if let Some(code) = self.script.close {
                return hang_up(&mut self.socket, code).await;
            }
            self.words("hello").await;
        }
    }

    async fn words(&mut self, text: &str) {
        self.turn = self.turn.next();
        let item = self.turn;
        let (start, end) = (AudioPos::from_ms(100), AudioPos::from_ms(600));
        self.tell(Event::SpeechStopped { item, at: end, reason: StopReason::Silence }).await;
        let words = Event::TranscriptFinal {
            item,
            text: Arc::from(text),
            language: Arc::from("en"),
            confidence: 1.0,
            start,
            end,
        };
        self.tell(words).await;
        if self.script.answer {
            self.answer().await;
        }
    }

    async fn answer(&mut self) {
        let response = ResponseId(self.turn.0);
        self.reply = Some(response);
        self.tell(Event::ResponseStarted {
            response,
            turn: Some(self.turn),
            tag: 0,
            settings: Arc::default(),
            aside: false,
        })
        .await;
        self.tell(Event::ResponseText { response, item: ItemId(0), delta: Arc::from("one two three") }).await;
        let format = self.codec.output_format();
        let samples = format.clock_hz() / 50;
        let silence = match format.codec {
            floe::audio::Codec::PcmS16le => vec![0; samples as usize * 2],
            floe::audio::Codec::Opus => vec![0xf8, 0xff, 0xfe],
            _ => vec![0xff; samples as usize],
        };
        let payload = Bytes::from(silence);
        for frame in 0..self.script.reply_frames {
            let last = self.script.mark_last && frame + 1 == self.script.reply_frames;
            let chunk = AudioChunk { payload: payload.clone(), samples, clock_hz: format.clock_hz() };
            let offset = Duration::from_millis(u64::from(frame) * 20);
            let event = Event::ResponseAudio { response, item: ItemId(0), chunk, offset, last };
            if self.script.skip_every.is_some_and(|every| frame % every == every - 1) {
                // Numbered by the codec, and lost.
                self.codec.encode(&event, &mut Vec::new());
            } else {
                self.tell(event).await;
            }
        }
        if !self.script.mark_last {
            self.done(Status::Completed).await;
        }
    }

    async fn done(&mut self, status: Status) {
        let Some(response) = self.reply.take() else { return };
        let (text, usage, timings) = (Arc::from("one two three"), Usage::default(), Timings::default());
        self.tell(Event::ResponseDone { response, status, text, usage, timings }).await;
    }

    /// Only where loudness can be seen without a decoder.
    fn is_loud(&self, payload: &[u8]) -> bool {
        self.codec.input_format().codec == floe::audio::Codec::PcmS16le
            && payload.chunks_exact(2).any(|sample| i16::from_le_bytes([sample[0], sample[1]]).unsigned_abs() > 3_000)
    }
}
