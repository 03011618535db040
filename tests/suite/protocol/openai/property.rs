//! The property that all rows share: any sequence of client events, valid or not, between any facts of the engines, gets
//! answers in legal order, at most one response of the conversation at a time, one end for each, and never a close.

use floe::{
    conversation::{AgentStop, Input, Usage},
    ids::ResponseId,
    protocol::Codec as _,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::stage::{Stage, connect, sound};

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    /// The client sends an event.
    Client(Value),
    /// The client sends an event about one of the items that it was told of.
    About(&'static str, prop::sample::Index, i64),
    /// The client answers one of the calls that it was told of.
    Result(prop::sample::Index),
    /// The microphone: milliseconds, loud or not.
    Sound(u64, bool),
    /// Words of the user's were found, or were none.
    Words(Option<&'static str>),
    /// The agent says something in one of its replies.
    Says(prop::sample::Index, &'static str),
    Calls(prop::sample::Index),
    Stops(prop::sample::Index, u8),
    Fails(prop::sample::Index),
    /// The voice speaks a segment, or cannot.
    Voice(bool),
    /// Time passes.
    Wait(u64),
}

fn message(id: Value) -> Value {
    let content = json!([{"type": "input_text", "text": "typed"}]);
    json!({"type": "conversation.item.create", "item": {"id": id, "type": "message", "role": "user", "content": content}})
}

fn client() -> impl Strategy<Value = Value> {
    let update = |session: Value| json!({"type": "session.update", "session": session});
    let turn = |turn: Value| update(json!({"audio": {"input": {"turn_detection": turn}}}));
    prop::sample::select(vec![
        json!({"type": "input_audio_buffer.commit"}),
        json!({"type": "input_audio_buffer.clear"}),
        json!({"type": "input_audio_buffer.append", "audio": "AAA"}),
        json!({"type": "input_audio_buffer.append", "audio": "?"}),
        json!({"type": "response.create"}),
        json!({"type": "response.create", "response": {"conversation": "none", "input": []}}),
        json!({"type": "response.create", "response": {"output_modalities": ["text"], "conversation": "none"}}),
        json!({"type": "response.create", "response": {"output_modalities": ["text"], "metadata": {"a": "b"}}}),
        json!({"type": "response.create", "response": {"input": 5}}),
        json!({"type": "response.cancel"}),
        json!({"type": "response.cancel", "response_id": "resp_none"}),
        json!({"type": "output_audio_buffer.clear"}),
        json!({"type": "nonsense"}),
        json!({"no": "type"}),
        message(json!("a")),
        message(json!("b")),
        message(json!(null)),
        json!({"type": "conversation.item.create", "previous_item_id": "root", "item":
            {"type": "function_call", "call_id": "call_x", "name": "add", "arguments": "{}"}}),
        json!({"type": "conversation.item.create", "item":
            {"type": "function_call_output", "call_id": "call_x", "output": "4"}}),
        json!({"type": "conversation.item.delete", "item_id": "a"}),
        turn(json!(null)),
        turn(json!({"type": "server_vad", "silence_duration_ms": 200})),
        turn(json!({"type": "server_vad", "interrupt_response": false})),
        turn(json!({"type": "server_vad", "create_response": false, "interrupt_response": true})),
        turn(json!({"type": "server_vad", "idle_timeout_ms": 5_000, "create_response": true})),
        turn(json!({"type": "semantic_vad", "eagerness": "high"})),
        turn(json!({"type": "none of these"})),
        update(json!({"output_modalities": ["text"]})),
        update(json!({"output_modalities": ["audio"]})),
        update(json!({"audio": {"input": {"transcription": {"model": "whisper-1"}}}})),
        update(json!({"audio": {"input": {"transcription": null, "format": {"type": "audio/pcmu"}}}})),
        update(json!({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 24_000}}}})),
        update(json!({"tools": [{"type": "function", "name": "look"}]})),
    ])
}

fn step() -> impl Strategy<Value = Step> {
    let about = prop::sample::select(vec![
        "conversation.item.delete",
        "conversation.item.retrieve",
        "conversation.item.truncate",
        "conversation.item.create",
    ]);
    let words = prop::sample::select(vec!["Well. ", "One, two, three. ", " and", "Yes! ", ""]);
    prop_oneof![
        6 => client().prop_map(Step::Client),
        2 => (about, any::<prop::sample::Index>(), -10..5_000_i64).prop_map(|(kind, at, ms)| Step::About(kind, at, ms)),
        1 => any::<prop::sample::Index>().prop_map(Step::Result),
        5 => (1..1_200_u64, any::<bool>()).prop_map(|(ms, loud)| Step::Sound(ms, loud)),
        3 => prop::option::weighted(0.9, prop::sample::select(vec!["", "hello", "how late is it"])).prop_map(Step::Words),
        5 => (any::<prop::sample::Index>(), words).prop_map(|(at, words)| Step::Says(at, words)),
        1 => any::<prop::sample::Index>().prop_map(Step::Calls),
        3 => (any::<prop::sample::Index>(), 0..3_u8).prop_map(|(at, stop)| Step::Stops(at, stop)),
        1 => any::<prop::sample::Index>().prop_map(Step::Fails),
        4 => any::<bool>().prop_map(Step::Voice),
        2 => (1..4_000_u64).prop_map(Step::Wait),
    ]
}

/// One of the replies that the agent was asked for.
fn reply(stage: &Stage, at: prop::sample::Index) -> Option<ResponseId> {
    (!stage.requests.is_empty()).then(|| stage.requests[at.index(stage.requests.len())].0)
}

/// All values of a field of all items that were told.
fn told(stage: &Stage, field: &str) -> Vec<String> {
    let items = stage.all.iter().filter(|event| event["type"] == "conversation.item.added");
    items.filter_map(|event| Some(event["item"][field].as_str()?.to_owned())).collect()
}

fn take(stage: &mut Stage, step: Step) {
    match step {
        Step::Client(event) => stage.send(event),
        Step::About(kind, at, ms) => {
            let items = told(stage, "id");
            if items.is_empty() {
                return;
            }
            let id = &items[at.index(items.len())];
            let item = json!({"type": "message", "role": "system", "content": [{"type": "input_text", "text": "x"}]});
            stage.send(json!({"type": kind, "item_id": id, "previous_item_id": id, "content_index": 0,
                "audio_end_ms": ms, "item": item}));
        }
        Step::Result(at) => {
            let calls = told(stage, "call_id");
            if !calls.is_empty() {
                let call = &calls[at.index(calls.len())];
                stage.send(json!({"type": "conversation.item.create", "item":
                    {"type": "function_call_output", "call_id": call, "output": "fine"}}));
            }
        }
        Step::Sound(ms, loud) => stage.audio(ms, loud),
        Step::Words(words) => {
            let Some((utterance, at)) = stage.finals.pop_front() else { return };
            match words {
                Some(words) => stage.tell(Input::TranscriptFinal {
                    utterance,
                    at,
                    text: words.into(),
                    language: "en".into(),
                    confidence: 0.5,
                }),
                None => stage.tell(Input::RecognitionFailed { utterance, reason: "busy" }),
            }
        }
        Step::Says(at, words) => {
            if let Some(response) = reply(stage, at) {
                stage.tell(Input::ReplyText { response, delta: words.into() });
            }
        }
        Step::Calls(at) => {
            if let Some(response) = reply(stage, at) {
                stage.tell(Input::ToolCalled { response, name: "look".into(), arguments: "{}".into() });
            }
        }
        Step::Stops(at, stop) => {
            if let Some(response) = reply(stage, at) {
                let stop = [AgentStop::Finished, AgentStop::TokensMax, AgentStop::Filtered][usize::from(stop)];
                stage.tell(Input::ReplyFinished { response, usage: Usage { input_tokens: 3, output_tokens: 2 }, stop });
            }
        }
        Step::Fails(at) => {
            if let Some(response) = reply(stage, at) {
                stage.tell(Input::ReplyFailed { response, reason: "unavailable" });
            }
        }
        Step::Voice(true) => stage.speak_segment(),
        Step::Voice(false) => {
            if let Some((response, segment, ..)) = stage.segments.pop_front() {
                stage.tell(Input::SpeechFailed { response, segment, reason: "broken" });
            }
        }
        Step::Wait(ms) => stage.advance(ms),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_conversation_is_legal(steps in proptest::collection::vec(step(), 0..60)) {
        let mut stage = connect();
        stage.voice = false;
        for step in steps {
            // Every frame passes the validators on its way; a decode that would close the connection panics.
            take(&mut stage, step);
            prop_assert!(stage.closed.is_none(), "closed for something that is merely wrong");
        }
        // Left alone, everything that was begun comes to its end.
        stage.send(json!({"type": "session.update", "session": {"turn_detection": null}}));
        stage.send(json!({"type": "input_audio_buffer.clear"}));
        while let Some((utterance, at)) = stage.finals.pop_front() {
            let (text, language) = ("".into(), "en".into());
            stage.tell(Input::TranscriptFinal { utterance, at, text, language, confidence: 0.5 });
        }
        for _ in 0..20 {
            stage.advance(30_000);
        }
        prop_assert_eq!(stage.in_progress(), 0, "a response that never ends");
        let count = |kind: &str| stage.all.iter().filter(|event| event["type"] == kind).count();
        prop_assert_eq!(count("response.created"), count("response.done"));
    }
}

#[test]
fn the_sound_of_the_tests_is_what_the_ears_call_speech() {
    let mut stage = connect();
    let loud = sound(stage.codec.input_format(), 100, true);
    assert_eq!(loud.len(), 4_800);
    stage.audio(300, true);
    stage.expect("input_audio_buffer.speech_started");
}
