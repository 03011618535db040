//! Random facts against a small model of what must hold whatever happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use floe::{
    audio::{AudioChunk, AudioPos},
    conversation::{
        AgentStop, Busy, ClientCalls, Command, Content, Context, ContextItem, Conversation, Delivery, Event, Input,
        Output, Place, PlaybackState, Record, ResponseOptions, Settings, SettingsPatch, Status, Time, ToolPlace,
        ToolSpec, TurnMode, Usage,
    },
    ids::{CallId, ItemId, ResponseId, SegmentId, UtteranceId},
};
use proptest::prelude::*;

const STEPS: usize = 500;
const CASES: u32 = 250;

const WORDS: [&str; 8] = ["Well. ", "It is four, ", "maybe", " five degrees. ", "Dr. Oslo é", "\n- ", "世界。", ""];

const STATES: [PlaybackState; 4] =
    [PlaybackState::Playing, PlaybackState::Paused, PlaybackState::Drained, PlaybackState::Flushed];

/// What is known from the outputs alone, and what they must satisfy.
#[derive(Default)]
struct Model {
    current: Option<ResponseId>,
    /// Replies beside the conversation.
    beside: BTreeSet<ResponseId>,
    newest: ResponseId,
    /// The words of the current reply as they were shown.
    shown: String,
    /// The store: each item of a finished reply, as far as it was heard.
    heard: BTreeMap<ItemId, (ResponseId, String)>,
    /// Its segments at the voice: words, audio so far, and whether that is all of it.
    segments: Vec<(String, Duration, bool)>,
    fed: Duration,
    released: Duration,
    sent: Duration,
    speaking: Option<ItemId>,
    recognitions: BTreeSet<UtteranceId>,
    finals: Vec<(UtteranceId, AudioPos)>,
    calls: Vec<CallId>,
    closed: u32,
}

impl Model {
    fn see(&mut self, output: &Output, settings: &Settings) {
        assert_eq!(self.closed, 0, "after the end: {output:?}");
        match output {
            Output::Command(command) => self.see_command(command),
            Output::Event(event) => self.see_event(event, settings),
            Output::Record(Record::Item(item)) => {
                if let Content::Reply { response: Some(response), text, .. } = &item.content {
                    assert!(!self.beside.contains(response), "what is beside the conversation is kept");
                    self.heard.insert(item.id, (*response, text.to_string()));
                }
            }
            Output::Record(Record::Receipt { .. }) => {}
        }
    }

    fn see_command(&mut self, command: &Command) {
        match command {
            Command::Generate { response, .. }
            | Command::Speak { response, .. }
            | Command::RunTool { response, .. }
            | Command::CancelResponse { response }
            | Command::ReleaseResponse { response }
                if self.beside.contains(response) => {}
            Command::StartRecognition { utterance, .. } => assert!(self.recognitions.insert(*utterance)),
            Command::RecognizeTo { utterance, at } => {
                assert!(self.recognitions.contains(utterance), "no such recognition: {utterance}");
                self.finals.push((*utterance, *at));
            }
            Command::RecognizeRecording { utterance, at, .. } => {
                assert!(self.recognitions.insert(*utterance));
                self.finals.push((*utterance, *at));
            }
            Command::CancelRecognition { utterance } => {
                assert!(self.recognitions.remove(utterance), "cancelled twice: {utterance}");
            }
            Command::Generate { response, request } => {
                assert_eq!(Some(*response), self.current);
                for item in &request.history {
                    if let Content::Reply { response: Some(response), text, .. } = &item.content
                        && Some(*response) != self.current
                    {
                        assert_eq!(self.heard[&item.id].1, **text, "the agent is told what was not heard");
                    }
                }
            }
            Command::Speak { response, segment, text, .. } => {
                assert_eq!(Some(*response), self.current);
                self.segments.push((text.to_string(), Duration::ZERO, false));
                assert_eq!(segment.0 as usize, self.segments.len(), "segments are spoken in order");
            }
            Command::RunTool { response, call, .. } => {
                assert_eq!(Some(*response), self.current);
                self.calls.push(*call);
            }
            Command::CancelResponse { response } | Command::ReleaseResponse { response } => {
                assert_eq!(Some(*response), self.current);
            }
            Command::Close(_) => {
                let open = (self.current, self.beside.len(), self.recognitions.len());
                assert_eq!(open, (None, 0, 0), "something outlives the session");
                self.closed += 1;
            }
        }
    }

    fn see_event(&mut self, event: &Event, settings: &Settings) {
        match event {
            Event::ResponseStarted { response, aside: true, .. } => {
                assert!(*response > self.newest, "a reply began twice");
                assert!(self.beside.insert(*response));
                self.newest = *response;
            }
            Event::ResponseDone { response, .. } if self.beside.remove(response) => {}
            Event::ResponseText { response, .. }
            | Event::ResponseAudio { response, .. }
            | Event::PlaybackFlushed { response, .. }
            | Event::ToolCallRequested { response, .. }
                if self.beside.contains(response) => {}
            Event::ItemDeleted { item } => drop(self.heard.remove(item)),
            Event::SpeechStarted { item, .. } => assert_eq!(self.speaking.replace(*item), None),
            Event::SpeechStopped { item, .. } => assert_eq!(self.speaking.take(), Some(*item)),
            Event::ResponseStarted { response, .. } => {
                assert_eq!(self.current, None, "two replies at once");
                assert!(*response > self.newest, "a reply began twice");
                let kept = (std::mem::take(&mut self.heard), self.speaking, std::mem::take(&mut self.recognitions));
                let (finals, calls) = (std::mem::take(&mut self.finals), std::mem::take(&mut self.calls));
                let beside = std::mem::take(&mut self.beside);
                let (current, newest) = (Some(*response), *response);
                *self = Self { current, newest, beside, finals, calls, ..Self::default() };
                (self.heard, self.speaking, self.recognitions) = kept;
            }
            Event::ResponseText { response, delta, .. } => {
                assert_eq!(Some(*response), self.current);
                self.shown.push_str(delta);
            }
            Event::ResponseAudio { response, chunk, offset, .. } => {
                assert_eq!(Some(*response), self.current);
                assert_eq!(*offset, self.released, "audio without gaps");
                self.released += chunk.duration();
                assert!(self.released - self.sent <= settings.in_flight_max, "more in flight than there is credit for");
            }
            Event::PlaybackFlushed { response, heard, heard_text } => {
                assert_eq!(Some(*response), self.current);
                self.check_heard(*heard, &squeeze(heard_text));
                assert!(*heard <= self.sent, "heard what was never sent");
            }
            Event::Problem { code: "speech_failed", .. } => self.end_segment(),
            Event::ResponseDone { response, status, text, .. } => {
                assert_eq!(self.current.take(), Some(*response), "a reply ended twice, or never began");
                assert!(self.shown.starts_with(&**text), "{text:?} is not a beginning of {:?}", self.shown);
                if matches!(status, Status::Completed | Status::Failed(_) | Status::Incomplete(_)) {
                    assert_eq!(self.shown.trim_end(), &**text);
                }
                let items = self.heard.values().filter(|(of, _)| of == response).map(|(_, text)| squeeze(text));
                assert_eq!(items.collect::<String>(), squeeze(text));
            }
            _ => {}
        }
    }
}

impl Model {
    fn end_segment(&mut self) {
        self.segments.iter_mut().find(|(_, _, whole)| !whole).expect("a segment ended that never began").2 = true;
    }

    /// Heard are all segments that were played whole, and at most a part of the next.
    fn check_heard(&self, mut played: Duration, words: &str) {
        let mut least = String::new();
        for (text, audio, whole) in &self.segments {
            if !whole || *audio > played {
                let most = format!("{least}{}", squeeze(text));
                assert!(most.starts_with(words), "heard {words:?}, at most {most:?}");
                break;
            }
            played -= *audio;
            least += &squeeze(text);
        }
        assert!(words.starts_with(&least), "heard {words:?}, at least {least:?}");
    }
}

/// One run: the facts that a list of numbers stands for, and everything that came out.
struct Run {
    conversation: Conversation,
    model: Model,
    settings: Settings,
    now: u64,
    position: u64,
    outputs: Vec<Output>,
}

impl Run {
    fn new(seed: u16) -> Self {
        let tool = |name: &str, place| ToolSpec {
            name: Arc::from(name),
            description: Arc::from(""),
            parameters: Arc::from("{}"),
            place,
        };
        let settings = Settings {
            turn_mode: if seed.is_multiple_of(5) { TurnMode::Manual } else { TurnMode::Auto },
            barge_in: !seed.is_multiple_of(7),
            speak: !seed.is_multiple_of(11),
            playback_reports: seed.is_multiple_of(2),
            greeting: Arc::from(if seed.is_multiple_of(3) { "Hello there." } else { "" }),
            tools: Arc::from([tool("clock", ToolPlace::Server), tool("lamp", ToolPlace::Client)]),
            utterance_max: Duration::from_millis(3_000),
            delivery: if seed.is_multiple_of(13) { Delivery::AtOnce } else { Delivery::Paced },
            client_calls: if seed.is_multiple_of(17) { ClientCalls::EndReply } else { ClientCalls::WithinReply },
            prompt_after: seed.is_multiple_of(19).then(|| Duration::from_millis(2_000)),
            reply_automatically: !seed.is_multiple_of(23),
            ..Settings::default()
        };
        let conversation = Conversation::new(settings.clone(), Time::ZERO);
        let model = Model::default();
        let mut run = Self { conversation, model, settings, now: 0, position: 0, outputs: Vec::new() };
        run.drain();
        run
    }

    fn tell(&mut self, input: Input) {
        self.conversation.handle_input(Time::from_ms(self.now), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.conversation.poll_output() {
            self.model.see(&output, &self.settings);
            self.outputs.push(output);
        }
        let waiting = self.model.fed.saturating_sub(self.model.released);
        assert!(self.model.current.is_none() || waiting <= self.settings.queued_audio_max + Duration::from_secs(4));
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
        if self.conversation.poll_timeout().is_some_and(|(at, _)| at <= Time::from_ms(self.now)) {
            self.conversation.handle_timeout(Time::from_ms(self.now));
            self.drain();
            let next = self.conversation.poll_timeout();
            assert!(next.is_none_or(|(at, _)| at > Time::from_ms(self.now)), "no progress at {next:?}");
        }
    }

    fn frames(&mut self, count: u16, speech: f32) {
        for _ in 0..count {
            self.pass(16);
            self.position += 256;
            self.tell(Input::Frame { end: AudioPos(self.position), speech });
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table: one line per kind of fact")]
    fn step(&mut self, (kind, a, b): (u8, u16, u16)) {
        self.pass(u64::from(b % 120));
        // Mostly what lives, sometimes what is long gone.
        let response = if a.is_multiple_of(17) {
            ResponseId(u32::from(b % 9))
        } else {
            self.model.current.unwrap_or(self.model.newest)
        };
        let at_voice = self.model.segments.iter().take_while(|(_, _, whole)| *whole).count() + 1;
        let segment = SegmentId(at_voice as u32 + u32::from(a.is_multiple_of(13)));
        let items = self.conversation.history().items();
        let item = items.get(usize::from(b) % items.len().max(1)).map_or(ItemId(99), |item| item.id);
        let text: Arc<str> = Arc::from(WORDS[usize::from(b) % WORDS.len()]);
        let input = match kind % 46 {
            0..4 => return self.frames(a % 30, 0.9),
            4..8 => return self.frames(a % 50, 0.1),
            8 => return self.frames(a % 10, 0.5),
            9..12 => match self.model.finals.pop() {
                Some((utterance, at)) => {
                    let (text, language) =
                        (Arc::from(if a.is_multiple_of(4) { "" } else { "some words" }), Arc::from("en"));
                    Input::TranscriptFinal { utterance, at, text, language, confidence: 0.5 }
                }
                None => Input::RecognitionFailed { utterance: UtteranceId(u32::from(a % 40)), reason: "busy" },
            },
            12..19 => Input::ReplyText { response, delta: text },
            19 => {
                let usage = Usage { input_tokens: 1, output_tokens: u64::MAX };
                let stop = if a.is_multiple_of(5) { AgentStop::TokensMax } else { AgentStop::Finished };
                Input::ReplyFinished { response, usage, stop }
            }
            20 => Input::ReplyFailed { response, reason: "broken" },
            21..26 => return self.chunk(response, segment, a),
            26 => {
                if self.model.current == Some(response) && segment.0 as usize == at_voice.min(self.model.segments.len())
                {
                    self.model.end_segment();
                }
                Input::SpeechFinished { response, segment }
            }
            27 => Input::SpeechFailed { response, segment, reason: "broken" },
            28..31 => {
                let duration = self.model.released - self.model.sent;
                if self.model.current == Some(response) {
                    self.model.sent = self.model.released;
                }
                Input::AudioSent { response, duration }
            }
            31 => Input::ToolCalled {
                response,
                name: Arc::from(["clock", "lamp", "x"][usize::from(a % 3)]),
                arguments: text,
            },
            32 => {
                let call = self.model.calls.pop().unwrap_or(CallId(u32::from(a % 5)));
                Input::ToolFinished { call, output: text, failed: a.is_multiple_of(2) }
            }
            33 => {
                let played = Duration::from_millis(u64::from(b)).min(self.model.sent);
                Input::PlaybackProgress { response, played, state: STATES[usize::from(a % 4)] }
            }
            34 => Input::TextEntered { text, system: a.is_multiple_of(2) },
            35 | 40 => Input::ResponseRequested(Box::new(ResponseOptions {
                tag: u64::from(b),
                say: a.is_multiple_of(3).then(|| Arc::from("These words.")),
                busy: if a.is_multiple_of(2) { Busy::Refuse } else { Busy::Replace },
                context: if a.is_multiple_of(7) {
                    Context::Only(vec![ContextItem::Existing(item), ContextItem::New(Content::UserText(text))])
                } else {
                    Context::History
                },
                aside: kind % 46 == 40,
                // The model follows one voice only.
                patch: SettingsPatch { speak: (kind % 46 == 40).then_some(false), ..SettingsPatch::default() },
                ..ResponseOptions::default()
            })),
            41 | 42 => {
                let place = [Place::End, Place::Front, Place::After(item)][usize::from(a % 3)];
                let content = match b % 3 {
                    0 => Content::UserText(text),
                    1 => Content::Reply { response: None, text, interrupted: false },
                    _ => Content::ToolOutput { call: CallId(u32::from(a % 7)), output: text, failed: false },
                };
                let item = ItemId::of_client(u32::from(b % 50));
                match a % 5 {
                    0 => Input::RecordingInserted { item, place, end: AudioPos(u64::from(b) * 256) },
                    _ => Input::ItemInserted { item, place, content },
                }
            }
            43 => Input::ItemDeleted(item),
            44 => Input::ItemTruncated { item, heard: Duration::from_millis(u64::from(b % 3_000)) },
            45 => {
                let beside = self.model.beside.first().copied();
                Input::ResponseCancelled(beside.filter(|_| a.is_multiple_of(4)).or(Some(response)))
            }
            36 => Input::AnnouncementSet { after: Duration::from_millis(u64::from(a)), text },
            37 => [Input::AudioCommitted, Input::AudioCleared, Input::Muted(true), Input::ResponseCancelled(None)]
                [usize::from(a % 4)]
            .clone(),
            38 => [Input::PeerLost, Input::PeerBack, Input::PeerBack][usize::from(a % 3)].clone(),
            _ => Input::SettingsChanged(Box::new(SettingsPatch {
                turn_mode: Some(if a.is_multiple_of(3) { TurnMode::Manual } else { TurnMode::Auto }),
                speech_threshold: Some(f32::from(a % 100) / 50.0),
                ..SettingsPatch::default()
            })),
        };
        self.tell(input);
    }

    fn chunk(&mut self, response: ResponseId, segment: SegmentId, length: u16) {
        let audio =
            AudioChunk { payload: bytes::Bytes::new(), samples: u32::from(length % 8) * 1_600, clock_hz: 16_000 };
        if self.model.fed.saturating_sub(self.model.released) < Duration::from_secs(6) {
            let (stale, length) = (self.conversation.stale_facts(), audio.duration());
            self.tell(Input::SpeechChunk { response, segment, audio });
            if self.conversation.stale_facts() == stale {
                self.model.fed += length;
                self.model.segments[segment.0 as usize - 1].1 += length;
            }
        }
    }

    /// What the history holds of each finished reply is what was heard of it.
    fn check_history(&self) {
        for item in self.conversation.history().items() {
            if let Content::Reply { response: Some(response), text, .. } = &item.content
                && Some(*response) != self.model.current
            {
                assert_eq!(self.model.heard.get(&item.id), Some(&(*response, text.to_string())));
            }
        }
    }

    /// The server leaves; everything comes to its end.
    fn leave(&mut self) {
        let deadline = Time::from_ms(self.now + 20_000);
        self.tell(Input::Draining { deadline });
        for _ in 0..2_000 {
            self.pass(11);
        }
        assert_eq!(self.model.closed, 1, "draining did not end");
        assert_eq!(self.conversation.poll_timeout(), None);
        self.tell(Input::Goodbye { flush: false });
    }
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect()
}

fn run(seed: u16, steps: &[(u8, u16, u16)]) -> Vec<Output> {
    let mut run = Run::new(seed);
    for step in steps {
        run.step(*step);
    }
    run.check_history();
    run.leave();
    run.check_history();
    run.outputs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(seed: u16, steps in prop::collection::vec(any::<(u8, u16, u16)>(), STEPS)) {
        let first = run(seed, &steps);
        let second = run(seed, &steps);
        prop_assert!(first == second, "the same facts gave other outputs");
    }
}
