//! A connection without a socket: the codec, the conversation, and scripted engines around them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use floe::{
    audio::{AudioChunk, AudioPos, Format, Frame, Ingress},
    conversation::{
        AgentStop, CloseReason, Command, Conversation, Event, Input, Output, ReplyRequest, Settings, Time, Usage,
    },
    ids::{ResponseId, SegmentId, SessionId, UtteranceId},
    protocol::{
        Codec, Incoming, Message,
        openai::{Dialect, Kind, Opening, RealtimeCodec, Voices},
    },
    vad::VoiceActivity,
};
use serde_json::{Value, json};

use super::{clients::Clients, order::Order};

/// A connection.
pub(crate) struct Stage {
    pub(crate) codec: RealtimeCodec,
    pub(crate) core: Conversation,
    pub(crate) now_ms: u64,
    ears: Ingress,
    /// `None`: what is loud is speech.
    vad: Option<Box<dyn VoiceActivity>>,
    output: Format,
    /// Everything that was sent and not looked at yet.
    sent: VecDeque<Value>,
    /// Everything that was sent.
    pub(crate) all: Vec<Value>,
    order: Option<Order>,
    clients: Clients,
    /// What engines were asked and have not answered.
    pub(crate) finals: VecDeque<(UtteranceId, AudioPos)>,
    pub(crate) starts: Vec<(UtteranceId, AudioPos)>,
    pub(crate) requests: Vec<(ResponseId, ReplyRequest)>,
    pub(crate) segments: VecDeque<(ResponseId, SegmentId, String, Format)>,
    pub(crate) spoken: Vec<(Arc<str>, f32, Option<Format>)>,
    pub(crate) closed: Option<(u16, String)>,
    /// Whether the voice speaks by itself.
    pub(crate) voice: bool,
    is_speaking: bool,
}

/// How a connection begins.
pub(crate) fn opening() -> Opening {
    Opening {
        model: "gpt-realtime".to_owned(),
        dialect: Dialect::Ga,
        kind: Kind::Realtime,
        session: None,
        strict: false,
        expires_at: Some(1_800_000_000),
        voices: Arc::new(Voices::default()),
    }
}

/// The server's own settings.
pub(crate) fn base() -> Settings {
    Settings {
        idle_timeout: Duration::ZERO,
        instructions: Arc::from("You are a test."),
        greeting: Arc::from("Hello!"),
        ..Settings::default()
    }
}

/// A connection of today's dialect, with `session.created` taken off.
pub(crate) fn connect() -> Stage {
    let mut stage = Stage::new(opening());
    stage.expect("session.created");
    stage
}

/// The same after a `session.update`, with `session.updated` taken off.
pub(crate) fn connect_with(session: Value) -> Stage {
    let mut stage = connect();
    stage.update(session);
    stage
}

impl Stage {
    pub(crate) fn new(opening: Opening) -> Self {
        Self::with_base(opening, &base())
    }

    pub(crate) fn with_base(opening: Opening, base: &Settings) -> Self {
        let dialect = opening.dialect;
        let (codec, settings, welcome) = RealtimeCodec::accept(opening, base, SessionId::new()).expect("accepted");
        let mut stage = Self {
            core: Conversation::new(settings, Time::ZERO),
            now_ms: 0,
            ears: Ingress::new(codec.input_format()).expect("a format"),
            vad: None,
            output: codec.output_format(),
            codec,
            sent: VecDeque::new(),
            all: Vec::new(),
            order: (dialect == Dialect::Ga).then(Order::default),
            clients: Clients::new(dialect),
            finals: VecDeque::new(),
            starts: Vec::new(),
            requests: Vec::new(),
            segments: VecDeque::new(),
            spoken: Vec::new(),
            closed: None,
            voice: true,
            is_speaking: false,
        };
        stage.note(welcome);
        stage.drain();
        stage
    }

    // ---- the client

    /// Sends an event.
    pub(crate) fn send(&mut self, event: Value) {
        self.clients.client_sent(&event);
        self.send_text(event.to_string());
    }

    pub(crate) fn send_text(&mut self, text: String) {
        self.send_message(Message::Text(text));
    }

    pub(crate) fn send_message(&mut self, message: Message) {
        let incoming = self.codec.decode(message).expect("no message closes the connection");
        for incoming in incoming {
            match incoming {
                Incoming::Audio(packet) => {
                    let mut frames = Vec::new();
                    let pushed = self.ears.push(&packet.payload, packet.timestamp, packet.gap, &mut frames);
                    pushed.expect("the ears take what the codec gives");
                    self.hear(&frames);
                }
                Incoming::Input(fact @ (Input::AudioCommitted | Input::AudioCleared | Input::SettingsChanged(_))) => {
                    let mut frames = Vec::new();
                    self.ears.settle(&mut frames).expect("the ears hold nothing back");
                    self.hear(&frames);
                    self.tell(fact);
                }
                Incoming::Input(fact) => self.tell(fact),
                Incoming::Formats { input, output } => {
                    self.output = output;
                    let position = AudioPos(self.ears.position().0 / 256 * 256);
                    self.ears = Ingress::from_position(input, position, None).expect("a format");
                }
                Incoming::Recording { item, place, audio } => {
                    let mut ears = Ingress::new(self.codec.input_format()).expect("a format");
                    let mut frames = Vec::new();
                    for piece in audio.chunks(4_000) {
                        ears.push(piece, None, false, &mut frames).expect("whole samples");
                    }
                    let end = ears.position();
                    self.tell(Input::RecordingInserted { item, place, end });
                }
                Incoming::Answer(message) => self.note(vec![message]),
                Incoming::Refused(error) => panic!("the codec answers by itself: {error}"),
            }
        }
    }

    /// What comes from here on is heard as a server hears it.
    pub(crate) fn listen_with(&mut self, vad: Box<dyn VoiceActivity>) {
        self.vad = Some(vad);
    }

    /// The client asked for these before it connected.
    pub(crate) fn included(&mut self, names: &[&str]) {
        self.clients.include(names);
    }

    fn hear(&mut self, frames: &[Frame]) {
        for frame in frames {
            let speech = match &mut self.vad {
                Some(vad) => vad.probability(frame.samples.first_chunk().expect("a whole frame")),
                None if frame.samples.iter().any(|sample| sample.abs() > 0.1) => 0.95,
                None => 0.02,
            };
            self.tell(Input::Frame { end: frame.end, speech });
        }
    }

    pub(crate) fn update(&mut self, session: Value) -> Value {
        self.send(json!({"type": "session.update", "session": session}));
        self.expect("session.updated")
    }

    /// The same in the midst of other events.
    pub(crate) fn update_after(&mut self, session: Value) -> Value {
        self.send(json!({"type": "session.update", "session": session}));
        self.find("session.updated")
    }

    /// Responses that have not ended.
    pub(crate) fn in_progress(&self) -> usize {
        self.order.as_ref().map_or(0, Order::in_progress)
    }

    /// Sends so much audio as it is spoken: 100 ms at a time, while time passes.
    pub(crate) fn audio(&mut self, ms: u64, loud: bool) {
        let format = self.codec.input_format();
        let mut left = ms;
        while left > 0 {
            let piece = left.min(100);
            self.advance(piece);
            self.send(json!({"type": "input_audio_buffer.append", "audio": base64(&sound(format, piece, loud))}));
            left -= piece;
        }
    }

    /// Speech and then a pause that ends it; the words are not there yet.
    pub(crate) fn speak(&mut self, ms: u64) {
        self.audio(ms, true);
        self.audio(1_000, false);
    }

    /// A whole spoken turn; the agent has been asked afterwards.
    pub(crate) fn say(&mut self, words: &str) {
        self.speak(1_000);
        self.transcript(words);
    }

    // ---- the world

    pub(crate) fn advance(&mut self, ms: u64) {
        let to = self.now_ms + ms;
        while let Some((at, _)) = self.core.poll_timeout() {
            let at = at.as_micros().div_ceil(1_000);
            if at > to {
                break;
            }
            self.now_ms = self.now_ms.max(at);
            self.core.handle_timeout(Time::from_ms(self.now_ms));
            self.drain();
        }
        self.now_ms = to;
    }

    pub(crate) fn tell(&mut self, fact: Input) {
        self.core.handle_input(Time::from_ms(self.now_ms), fact);
        self.drain();
    }

    fn drain(&mut self) {
        let mut left = Vec::new();
        let mut out = Vec::new();
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Event(event) => {
                    if let Event::ResponseAudio { response, chunk, .. } = &event {
                        left.push((*response, chunk.duration()));
                    }
                    self.codec.encode(&event, &mut out);
                }
                Output::Command(command) => self.obey(command),
                Output::Record(_) => {}
            }
        }
        self.note(out);
        for (response, duration) in left {
            self.tell(Input::AudioSent { response, duration });
        }
        // What the voice says drains, too: one segment ends before the next begins.
        while self.voice && !self.is_speaking && !self.segments.is_empty() {
            self.is_speaking = true;
            self.speak_segment();
            self.is_speaking = false;
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::StartRecognition { utterance, from } => self.starts.push((utterance, from)),
            Command::RecognizeTo { utterance, at } => self.finals.push_back((utterance, at)),
            Command::RecognizeRecording { utterance, at, .. } => self.finals.push_back((utterance, at)),
            Command::CancelRecognition { utterance } => self.finals.retain(|(id, _)| *id != utterance),
            Command::Generate { response, request } => self.requests.push((response, *request)),
            Command::Speak { response, segment, text, voice, speed, format } => {
                self.spoken.push((voice, speed, format));
                let format = format.unwrap_or(self.output);
                self.segments.push_back((response, segment, text.to_string(), format));
            }
            Command::CancelResponse { response } => self.segments.retain(|(id, ..)| *id != response),
            Command::Close(reason) => self.closed = Some(self.codec.farewell(reason)),
            Command::RunTool { name, .. } => panic!("no server tool is offered here, but {name} runs"),
            _ => {}
        }
    }

    /// One segment is spoken: 60 ms for every five bytes.
    pub(crate) fn speak_segment(&mut self) {
        let Some((response, segment, text, format)) = self.segments.pop_front() else { return };
        for _ in 0..text.len().div_ceil(5) {
            self.tell(Input::SpeechChunk { response, segment, audio: chunk(format) });
        }
        self.tell(Input::SpeechFinished { response, segment });
    }

    pub(crate) fn transcript(&mut self, words: &str) {
        let (utterance, at) = self.finals.pop_front().expect("words are asked for");
        let (text, language) = (Arc::from(words), Arc::from("en"));
        self.tell(Input::TranscriptFinal { utterance, at, text, language, confidence: 0.9 });
    }

    pub(crate) fn partial(&mut self, stable: &str, tail: &str) {
        let utterance = self.starts.last().expect("a recognition").0;
        self.tell(Input::TranscriptPartial { utterance, stable: Arc::from(stable), tail: Arc::from(tail) });
    }

    /// The agent's newest question.
    pub(crate) fn request(&self) -> (ResponseId, ReplyRequest) {
        self.requests.last().expect("the agent is asked").clone()
    }

    pub(crate) fn agent(&mut self, words: &str) {
        let response = self.request().0;
        self.tell(Input::ReplyText { response, delta: Arc::from(words) });
    }

    pub(crate) fn agent_calls(&mut self, name: &str, arguments: &str) {
        let response = self.request().0;
        self.tell(Input::ToolCalled { response, name: Arc::from(name), arguments: Arc::from(arguments) });
    }

    pub(crate) fn agent_stops(&mut self, stop: AgentStop) {
        let response = self.request().0;
        self.tell(Input::ReplyFinished { response, usage: Usage { input_tokens: 12, output_tokens: 7 }, stop });
    }

    /// The agent answers: these words, and no more.
    pub(crate) fn answer(&mut self, words: &str) {
        self.agent(words);
        self.agent_stops(AgentStop::Finished);
    }

    pub(crate) fn end(&mut self, reason: CloseReason) {
        match reason {
            CloseReason::Goodbye => self.tell(Input::Goodbye { flush: false }),
            _ => self.tell(Input::Draining { deadline: Time::from_ms(self.now_ms) }),
        }
    }

    // ---- what was sent

    fn note(&mut self, messages: Vec<Message>) {
        for message in messages {
            let Message::Text(text) = message else { panic!("binary messages are not of this protocol") };
            assert!(text.len() < 900 * 1024, "row 65: {} bytes", text.len());
            let event: Value = serde_json::from_str(&text).expect("JSON");
            self.clients.check(&event);
            if let Some(order) = &mut self.order {
                order.check(&event);
            }
            self.sent.push_back(event.clone());
            self.all.push(event);
        }
    }

    /// The next event, which must be of this type.
    #[track_caller]
    pub(crate) fn expect(&mut self, kind: &str) -> Value {
        let event = self.sent.pop_front().unwrap_or_else(|| panic!("nothing came instead of {kind}"));
        assert_eq!(event["type"], kind, "{event}\nthen {:?}", self.peek());
        event
    }

    /// The next events.
    #[track_caller]
    pub(crate) fn expect_all(&mut self, kinds: &[&str]) -> Vec<Value> {
        kinds.iter().map(|kind| self.expect(kind)).collect()
    }

    /// The next event of this type; those before it are thrown away.
    #[track_caller]
    pub(crate) fn find(&mut self, kind: &str) -> Value {
        let seen = self.peek();
        while let Some(event) = self.sent.pop_front() {
            if event["type"] == kind {
                return event;
            }
        }
        panic!("no {kind} in {seen:?}")
    }

    /// Everything that was sent and not looked at.
    pub(crate) fn take(&mut self) -> Vec<Value> {
        self.sent.drain(..).collect()
    }

    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        assert!(self.sent.is_empty(), "{:?}", self.sent);
    }

    /// The next event is this error.
    #[track_caller]
    pub(crate) fn expect_error(&mut self, code: &str, event_id: Option<&str>) -> Value {
        let event = self.expect("error");
        assert_eq!(event["error"]["code"], code, "{event}");
        assert_eq!(event["error"]["event_id"].as_str(), event_id, "{event}");
        event["error"].clone()
    }

    /// Types of what was sent and not looked at.
    pub(crate) fn peek(&self) -> Vec<String> {
        self.sent.iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// So much sound in a format.
pub(crate) fn sound(format: Format, ms: u64, loud: bool) -> Vec<u8> {
    use floe::audio::Codec;
    let samples = (u64::from(format.rate_hz) * ms / 1_000) as usize;
    // A square wave of about 500 Hz: loud in every frame, whatever the resampler makes of it.
    let half = format.rate_hz as usize / 1_000;
    let high = |n: usize| loud && (n / half).is_multiple_of(2);
    // One of three: the crest, the trough, silence.
    let of = |n: usize| {
        if high(n) {
            0
        } else if loud {
            1
        } else {
            2
        }
    };
    match format.codec {
        Codec::Pcmu => (0..samples).map(|n| [0x90, 0x10, 0xff][of(n)]).collect(),
        Codec::Pcma => (0..samples).map(|n| [0x90, 0x10, 0xd5][of(n)]).collect(),
        _ => (0..samples).flat_map(|n| [12_000_i16, -12_000, 0][of(n)].to_le_bytes()).collect(),
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// 60 ms of the voice.
fn chunk(format: Format) -> AudioChunk {
    let samples = format.rate_hz * 60 / 1_000;
    let bytes = if format.codec == floe::audio::Codec::PcmS16le { 2 } else { 1 };
    AudioChunk { payload: Bytes::from(vec![1; samples as usize * bytes]), samples, clock_hz: format.clock_hz() }
}

/// The bytes of all speech in these events.
pub(crate) fn speech(events: &[Value]) -> Vec<u8> {
    let deltas = events.iter().filter(|event| event["type"] == "response.output_audio.delta");
    deltas.flat_map(|event| STANDARD.decode(event["delta"].as_str().expect("base64")).expect("base64")).collect()
}
