//! Conversations written like plays: `>` lines are facts, `<` lines the outputs expected of them, `#` begins a remark.
//!
//! ```text
//! settings silence=500
//!  1.000 > speech                          16 ms frames of speech from here on; `quiet` and `none` end it
//!  1.096 < SpeechStarted i1 @1.008         at about this time: frames fall every 16 ms
//!        < StartRecognition u1 from 0.708
//! ```
//!
//! Everything the conversation puts out must stand in the script, in this order, or the test fails with both lists. Audio
//! frames are written as runs (`ResponseAudio r1 500ms`), and records are left out unless the script says `records`.
//! Times of outputs are checked to [`SLACK_MS`].

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a script that cannot be read fails its test")]

use std::{collections::VecDeque, sync::Arc, time::Duration};

use floe::{
    audio::{AudioChunk, AudioPos},
    conversation::{
        AgentStop, Busy, ClientCalls, Command, Content, Context, ContextItem, Conversation, Delivery, Event, Input,
        Output, Place, PlaybackState, Record, ResponseOptions, Settings, SettingsPatch, Time, ToolChoice, ToolPlace,
        ToolSpec, TurnMode, Usage,
    },
    ids::{CallId, ItemId, ResponseId, SegmentId, UtteranceId},
};

/// Outputs may lie this much beside their written time: two frames.
const SLACK_MS: u64 = 32;
const FRAME_MS: u64 = 16;

/// A conversation being played.
pub(crate) struct Stage {
    pub(crate) conversation: Conversation,
    now: u64,
    voice: Option<f32>,
    frames: u64,
    finals: Vec<(UtteranceId, AudioPos)>,
    sends: bool,
    records: bool,
    /// When, and what.
    seen: VecDeque<(u64, String)>,
}

/// Plays a script and gives back the conversation for a closer look. Panics where it does not go as written.
pub(crate) fn play(script: &str) -> Conversation {
    let lines = script.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|line| !line.is_empty());
    let mut settings = Settings { idle_timeout: Duration::ZERO, ..Settings::default() };
    let mut stage = None;
    let mut written: u64 = 0;
    for line in lines {
        if let Some(rest) = line.strip_prefix("settings ") {
            rest.split_whitespace().for_each(|pair| set(&mut settings, pair));
            continue;
        }
        let stage = stage.get_or_insert_with(|| Stage::new(settings.clone()));
        let (time, rest) = line.split_at(line.find(['<', '>']).unwrap_or_else(|| panic!("neither < nor >: {line}")));
        if let Some(time) = (!time.trim().is_empty()).then(|| ms(time.trim())) {
            written = time;
            stage.advance(written);
        }
        match rest.split_at(1) {
            (">", fact) => stage.act(fact.trim()),
            (_, output) => stage.expect(written, output.trim()),
        }
    }
    let stage = stage.expect("an empty script");
    assert!(stage.seen.is_empty(), "not in the script: {:#?}", stage.seen);
    stage.conversation
}

impl Stage {
    fn new(settings: Settings) -> Self {
        let mut stage = Self {
            conversation: Conversation::new(settings, Time::ZERO),
            now: 0,
            voice: None,
            frames: 0,
            finals: Vec::new(),
            sends: true,
            records: false,
            seen: VecDeque::new(),
        };
        stage.drain();
        stage
    }

    /// Lets time pass: frames and deadlines in their order.
    fn advance(&mut self, to: u64) {
        assert!(to >= self.now, "{to} ms lies before {} ms", self.now);
        loop {
            let frame = self.voice.map(|_| (self.frames + 1) * FRAME_MS).filter(|at| *at <= to);
            let deadline =
                self.conversation.poll_timeout().map(|(at, _)| at.as_micros().div_ceil(1000)).filter(|at| *at <= to);
            match (frame, deadline) {
                (frame, Some(deadline)) if frame.is_none_or(|frame| deadline <= frame) => {
                    self.now = deadline.max(self.now);
                    self.conversation.handle_timeout(Time::from_ms(self.now));
                    self.drain();
                }
                (Some(frame), _) => {
                    self.now = frame.max(self.now);
                    self.frames += 1;
                    let end = AudioPos::from_ms(self.frames * FRAME_MS);
                    self.tell(Input::Frame { end, speech: self.voice.unwrap_or(0.0) });
                }
                (None, _) => break,
            }
        }
        self.now = to;
    }

    fn tell(&mut self, input: Input) {
        self.conversation.handle_input(Time::from_ms(self.now), input);
        self.drain();
    }

    /// Notes what came out. What leaves for the socket is sent at once, unless the script says `stall`.
    fn drain(&mut self) {
        let mut sent = Vec::new();
        while let Some(output) = self.conversation.poll_output() {
            match &output {
                Output::Command(
                    Command::RecognizeTo { utterance, at } | Command::RecognizeRecording { utterance, at, .. },
                ) => self.finals.push((*utterance, *at)),
                Output::Event(Event::ResponseAudio { response, chunk, .. }) => sent.push((*response, chunk.duration())),
                Output::Record(_) if !self.records => continue,
                _ => {}
            }
            let line = describe(&output);
            // One run of audio per reply and moment.
            if let (Some((so_far, ms)), Some((_, seen))) = (run_of(&line), self.seen.back_mut())
                && let Some((before, sum)) = run_of(seen)
                && before == so_far
            {
                let end = if line.ends_with("last") { " last" } else { "" };
                *seen = format!("{so_far} {}ms{end}", ms + sum);
                continue;
            }
            self.seen.push_back((self.now, line));
        }
        if !self.sends {
            return;
        }
        for (response, duration) in sent {
            self.conversation.handle_input(Time::from_ms(self.now), Input::AudioSent { response, duration });
            self.drain();
        }
    }

    fn expect(&mut self, at: u64, expected: &str) {
        let Some((seen_at, seen)) = self.seen.pop_front() else {
            panic!("{at} ms: nothing came, but the script says: {expected}");
        };
        assert_eq!(seen, expected, "at {at} ms; then came {:#?}", self.seen);
        assert!(seen_at <= at && at - seen_at <= SLACK_MS, "{seen} came at {seen_at} ms, not at {at} ms");
    }

    fn act(&mut self, fact: &str) {
        let (verb, rest) = fact.split_once(' ').unwrap_or((fact, ""));
        match verb {
            "speech" => self.hear(Some(0.9)),
            "quiet" => self.hear(Some(0.05)),
            "none" => self.hear(None),
            "stall" => self.sends = false,
            "records" => self.records = true,
            "audio" => {
                let (subject, duration) = rest.split_once(' ').unwrap();
                for _ in 0..duration.trim_end_matches("ms").parse::<u64>().unwrap() / 20 {
                    self.tell(chunk_of(subject));
                }
            }
            _ => {
                let input = self.of_client(verb, rest).or_else(|| self.of_engine(verb, rest));
                self.tell(input.unwrap_or_else(|| panic!("no such fact: {fact}")));
            }
        }
    }

    fn hear(&mut self, voice: Option<f32>) {
        if self.voice.is_none() {
            self.frames = self.frames.max(self.now / FRAME_MS);
        }
        self.voice = voice;
    }

    fn of_client(&self, verb: &str, rest: &str) -> Option<Input> {
        let words = || Arc::from(quoted(rest));
        Some(match verb {
            "type" => Input::TextEntered { text: words(), system: false },
            "request" => Input::ResponseRequested(Box::default()),
            "say" => {
                Input::ResponseRequested(Box::new(ResponseOptions { say: Some(words()), ..ResponseOptions::default() }))
            }
            "ask" => Input::ResponseRequested(Box::new(asked(rest))),
            "cancel" if rest.is_empty() => Input::ResponseCancelled(None),
            "cancel" => Input::ResponseCancelled(Some(ResponseId(number(rest, 'r')))),
            "insert" => inserted(rest),
            "record" => {
                let (item, end) = rest.split_once(' ')?;
                Input::RecordingInserted { item: item_id(item), place: Place::End, end: AudioPos::from_ms(ms(end)) }
            }
            "delete" => Input::ItemDeleted(item_id(rest)),
            "truncate" => {
                let (item, heard) = rest.split_once(' ')?;
                Input::ItemTruncated { item: item_id(item), heard: Duration::from_millis(ms(heard)) }
            }
            "commit" => Input::AudioCommitted,
            "clear" => Input::AudioCleared,
            "mute" => Input::Muted(true),
            "played" | "flushed" => {
                let state = if verb == "played" { PlaybackState::Playing } else { PlaybackState::Flushed };
                let (response, played) = rest.split_once(' ')?;
                let played = Duration::from_millis(ms(played));
                Input::PlaybackProgress { response: ResponseId(number(response, 'r')), played, state }
            }
            "patch" => {
                let mut settings = Settings::clone(self.conversation.settings());
                set(&mut settings, rest);
                let (turn_mode, silence, speak) =
                    (Some(settings.turn_mode), Some(settings.silence), Some(settings.speak));
                Input::SettingsChanged(Box::new(SettingsPatch {
                    turn_mode,
                    silence,
                    speak,
                    ..SettingsPatch::default()
                }))
            }
            "lost" => Input::PeerLost,
            "back" => Input::PeerBack,
            "draining" => Input::Draining { deadline: Time::from_ms(ms(rest)) },
            "goodbye" => Input::Goodbye { flush: rest == "flush" },
            _ => return None,
        })
    }

    fn of_engine(&self, verb: &str, rest: &str) -> Option<Input> {
        let (subject, detail) = rest.split_once(' ').unwrap_or((rest, ""));
        let words = || Arc::from(quoted(detail));
        let utterance = || UtteranceId(number(subject, 'u'));
        Some(match verb {
            "partial" => {
                let (stable, tail) = quoted(detail).split_once('|')?;
                Input::TranscriptPartial { utterance: utterance(), stable: Arc::from(stable), tail: Arc::from(tail) }
            }
            "final" => {
                let asked = self.finals.iter().find(|(id, _)| *id == utterance());
                let (utterance, at) = (utterance(), asked.map_or(AudioPos(0), |(_, at)| *at));
                let language = Arc::from("en");
                Input::TranscriptFinal { utterance, at, text: words(), language, confidence: 0.9 }
            }
            "unrecognized" => Input::RecognitionFailed { utterance: utterance(), reason: "busy" },
            "text" => Input::ReplyText { response: place(subject).0, delta: words() },
            "call" => {
                let (name, arguments) = (Arc::from(detail), Arc::from("{}"));
                Input::ToolCalled { response: place(subject).0, name, arguments }
            }
            "finished" => {
                let stop = if detail == "full" { AgentStop::TokensMax } else { AgentStop::Finished };
                Input::ReplyFinished { response: place(subject).0, usage: Usage::default(), stop }
            }
            "failed" => Input::ReplyFailed { response: place(subject).0, reason: "unavailable" },
            "result" => Input::ToolFinished { call: CallId(number(subject, 'c')), output: words(), failed: false },
            "spoken" => {
                let (response, segment) = place(subject);
                Input::SpeechFinished { response, segment }
            }
            "unspoken" => {
                let (response, segment) = place(subject);
                Input::SpeechFailed { response, segment, reason: "broken" }
            }
            "stored" => Input::ItemStored(item_id(subject)),
            "unstored" => Input::ItemNotStored(item_id(subject)),
            "announce" => Input::AnnouncementSet { after: Duration::from_millis(ms(subject)), text: words() },
            "hush" => Input::AnnouncementsCancelled,
            _ => return None,
        })
    }
}

/// `7 refuse aside only c1,"words" instructions=…`: a request with the tag 7.
fn asked(rest: &str) -> ResponseOptions {
    let mut words = rest.split(' ');
    let tag = words.next().and_then(|tag| tag.parse().ok()).expect("a tag");
    let mut options = ResponseOptions { tag, ..ResponseOptions::default() };
    for word in words {
        match word.split_once('=') {
            None if word == "refuse" => options.busy = Busy::Refuse,
            None if word == "aside" => options.aside = true,
            Some(("only", items)) => {
                let item = |name: &str| match name.strip_prefix('"') {
                    Some(text) => ContextItem::New(Content::UserText(Arc::from(text.trim_matches('"')))),
                    None => ContextItem::Existing(item_id(name)),
                };
                options.context = Context::Only(items.split(',').filter(|item| !item.is_empty()).map(item).collect());
            }
            Some(("speak", speak)) => options.patch.speak = Some(speak == "true"),
            Some(("speed", speed)) => options.patch.speed = Some(speed.parse().unwrap()),
            _ => panic!("no such option: {word}"),
        }
    }
    options
}

/// `c1 user "words" after i2`: an item of the client's.
fn inserted(rest: &str) -> Input {
    let (name, rest) = rest.split_once(' ').expect("an id and a kind");
    let (what, place) = match rest.rsplit_once(" after ") {
        Some((what, item)) => (what, Place::After(item_id(item))),
        None => match rest.strip_suffix(" in front") {
            Some(what) => (what, Place::Front),
            None => (rest, Place::End),
        },
    };
    let (kind, words) = what.split_once(' ').expect("a kind and words");
    let text = || Arc::from(quoted(words));
    let content = match kind {
        "user" => Content::UserText(text()),
        "system" => Content::SystemText(text()),
        "assistant" => Content::Reply { response: None, text: text(), interrupted: false },
        output => {
            let call = CallId(number(output.strip_prefix("output:").expect("a kind"), 'c'));
            Content::ToolOutput { call, output: text(), failed: false }
        }
    };
    Input::ItemInserted { item: item_id(name), place, content }
}

/// `i2` is one of the conversation's, `c2` the second of the client's.
fn item_id(name: &str) -> ItemId {
    name.strip_prefix('c').map_or_else(|| ItemId(number(name, 'i')), |n| ItemId::of_client(n.parse().unwrap()))
}

fn name_of(item: ItemId) -> String {
    if item >= ItemId::of_client(0) { format!("c{}", item.0 & !(1 << 31)) } else { item.to_string() }
}

/// 20 ms of speech.
fn chunk_of(subject: &str) -> Input {
    let (response, segment) = place(subject);
    let audio = AudioChunk { payload: bytes::Bytes::from_static(&[0; 2]), samples: 320, clock_hz: 16_000 };
    Input::SpeechChunk { response, segment, audio }
}

/// A reply, and a segment of it if one is named.
fn place(subject: &str) -> (ResponseId, SegmentId) {
    let (response, segment) = subject.split_once('.').unwrap_or((subject, "s0"));
    (ResponseId(number(response, 'r')), SegmentId(number(segment, 's')))
}

/// An output as a script writes it.
fn describe(output: &Output) -> String {
    match output {
        Output::Command(command) => match command {
            Command::StartRecognition { utterance, from } => format!("StartRecognition {utterance} from {from}"),
            Command::RecognizeTo { utterance, at } => format!("RecognizeTo {utterance} {at}"),
            Command::RecognizeRecording { utterance, item, at } => {
                format!("RecognizeRecording {utterance} {} {at}", name_of(*item))
            }
            Command::CancelRecognition { utterance } => format!("CancelRecognition {utterance}"),
            Command::Generate { response, request } => {
                let without = if request.tool_choice != ToolChoice::Forbidden { "" } else { " without tools" };
                format!(
                    "Generate {response} {}{without}",
                    request.history.iter().map(brief).collect::<Vec<_>>().join(" ")
                )
            }
            Command::RunTool { call, name, .. } => format!("RunTool {call} {name}"),
            Command::Speak { response, segment, text, .. } => format!("Speak {response}.{segment} \"{text}\""),
            Command::CancelResponse { response } => format!("CancelResponse {response}"),
            Command::ReleaseResponse { response } => format!("ReleaseResponse {response}"),
            Command::Close(reason) => format!("Close {reason:?}"),
        },
        Output::Event(event) => match event {
            Event::SettingsUpdated(_) => "SettingsUpdated".to_owned(),
            Event::SpeechStarted { item, at } => format!("SpeechStarted {item} @{at}"),
            Event::SpeechStopped { item, at, reason } => format!("SpeechStopped {item} @{at} {reason:?}"),
            Event::TurnCommitted { item, durable } => {
                format!("TurnCommitted {item}{}", if *durable { " durable" } else { "" })
            }
            Event::TranscriptPartial { item, revision, stable, unstable } => {
                format!("TranscriptPartial {item} {revision} \"{stable}|{unstable}\"")
            }
            Event::TranscriptFinal { item, text, .. } => format!("TranscriptFinal {} \"{text}\"", name_of(*item)),
            Event::TranscriptFailed { item, reason } => format!("TranscriptFailed {item} {reason}"),
            Event::ResponseStarted { response, turn, aside, .. } => {
                let to = turn.map_or(String::new(), |turn| format!(" to {turn}"));
                format!("ResponseStarted {response}{to}{}", if *aside { " aside" } else { "" })
            }
            Event::ResponseRefused { tag, reason } => format!("ResponseRefused {tag} {reason:?}"),
            Event::ItemAdded { item, after } => {
                let after = after.map_or(String::new(), |after| format!(" after {}", name_of(after)));
                format!("ItemAdded {} {}{after}", name_of(item.id), brief(item))
            }
            Event::ItemRefused { item, reason } => format!("ItemRefused {} {reason:?}", name_of(*item)),
            Event::ItemDeleted { item } => format!("ItemDeleted {}", name_of(*item)),
            Event::ItemTruncated { item, heard, text } => {
                format!("ItemTruncated {item} {}ms \"{text}\"", heard.as_millis())
            }
            Event::AudioCleared => "AudioCleared".to_owned(),
            Event::InputTimedOut { item, start, end } => format!("InputTimedOut {item} {start} {end}"),
            Event::ResponseText { response, delta, .. } => format!("ResponseText {response} \"{delta}\""),
            Event::ResponseAudio { response, chunk, last, .. } => {
                let end = if *last { " last" } else { "" };
                format!("ResponseAudio {response} {}ms{end}", chunk.duration().as_millis())
            }
            Event::PlaybackFlushed { response, heard, heard_text } => {
                format!("PlaybackFlushed {response} {}ms \"{heard_text}\"", heard.as_millis())
            }
            Event::ResponseDone { response, status, text, .. } => {
                format!("ResponseDone {response} {status:?} \"{text}\"")
            }
            Event::ToolCallRequested { call, name, .. } => format!("ToolCallRequested {call} {name}"),
            Event::Problem { code, .. } => format!("Problem {code}"),
            Event::GoingAway { within } => format!("GoingAway {}ms", within.as_millis()),
            Event::Ended(reason) => format!("Ended {reason:?}"),
        },
        Output::Record(Record::Item(item)) => format!("Item {} {}", name_of(item.id), brief(item)),
        Output::Record(Record::Receipt { response, .. }) => format!("Receipt {response}"),
    }
}

/// An item as a script writes it.
pub(crate) fn brief(item: &floe::conversation::Item) -> String {
    match &item.content {
        Content::Speech { text, .. } => format!("user\"{}\"", text.as_deref().unwrap_or("?")),
        Content::UserText(text) => format!("typed\"{text}\""),
        Content::SystemText(text) => format!("system\"{text}\""),
        Content::Reply { text, interrupted, .. } => {
            format!("reply\"{text}{}\"", if *interrupted { "--" } else { "" })
        }
        Content::ToolCall { call, name, .. } => format!("call:{call}:{name}"),
        Content::ToolOutput { call, failed, .. } => {
            format!("output:{call}{}", if *failed { ":failed" } else { "" })
        }
    }
}

/// The beginning and the length of a run of audio that goes on.
fn run_of(line: &str) -> Option<(String, u64)> {
    let mut words = line.strip_prefix("ResponseAudio ")?.split(' ');
    let response = words.next()?;
    let ms = words.next()?.strip_suffix("ms")?.parse().ok()?;
    Some((format!("ResponseAudio {response}"), ms))
}

fn set(settings: &mut Settings, pair: &str) {
    let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("not a setting: {pair}"));
    let duration = || Duration::from_millis(value.parse().unwrap());
    match name {
        "silence" => settings.silence = duration(),
        "durable" => settings.durable = value.parse().unwrap(),
        "utterance_max" => settings.utterance_max = duration(),
        "idle" => settings.idle_timeout = duration(),
        "session_max" => settings.session_max = duration(),
        "tool_rounds" => settings.tool_rounds_max = value.parse().unwrap(),
        "speak" => settings.speak = value.parse().unwrap(),
        "barge_in" => settings.barge_in = value.parse().unwrap(),
        "delivery" => settings.delivery = if value == "at_once" { Delivery::AtOnce } else { Delivery::Paced },
        "calls" => {
            settings.client_calls = if value == "end" { ClientCalls::EndReply } else { ClientCalls::WithinReply };
        }
        "prompt_after" => settings.prompt_after = Some(duration()),
        "reply_to_commits" => settings.reply_to_commits = value.parse().unwrap(),
        "reply" => settings.reply_automatically = value.parse().unwrap(),
        "reports" => settings.playback_reports = value.parse().unwrap(),
        "turns" => settings.turn_mode = if value == "manual" { TurnMode::Manual } else { TurnMode::Auto },
        "greeting" => settings.greeting = Arc::from(value.replace('_', " ")),
        "apology" => settings.apology = Arc::from(value.replace('_', " ")),
        "tools" => {
            let place = |name: &str| if name.starts_with("client") { ToolPlace::Client } else { ToolPlace::Server };
            let (description, parameters): (Arc<str>, Arc<str>) = (Arc::from(""), Arc::from("{}"));
            let tool = |name: &str| ToolSpec {
                name: Arc::from(name),
                description: Arc::clone(&description),
                parameters: Arc::clone(&parameters),
                place: place(name),
            };
            settings.tools = value.split(',').map(tool).collect();
        }
        _ => panic!("no such setting: {name}"),
    }
}

fn ms(seconds: &str) -> u64 {
    let (whole, thousandths) = seconds.split_once('.').unwrap_or((seconds, "0"));
    whole.parse::<u64>().unwrap() * 1000 + format!("{thousandths:0<3}").parse::<u64>().unwrap()
}

fn number(id: &str, letter: char) -> u32 {
    id.strip_prefix(letter).and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no {letter} id: {id}"))
}

fn quoted(text: &str) -> &str {
    text.trim().trim_matches('"')
}
