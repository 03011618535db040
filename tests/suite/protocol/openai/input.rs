//! Rows 30 to 42: audio on its way in.

use bytes::Bytes;
use floe::{
    audio::{Codec as AudioCodec, Format},
    protocol::{Codec, Incoming, Message, openai::TEXT_BYTES_MAX},
};
use serde_json::json;

use super::stage::{Stage, base64, connect, connect_with, opening, sound};

const COMMITTED: [&str; 3] = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"];

fn manual() -> Stage {
    connect_with(json!({"audio": {"input": {"turn_detection": null, "transcription": {"model": "whisper-1"}}}}))
}

/// What the ears are given for one append.
fn payloads(stage: &mut Stage, audio: &[u8]) -> Vec<Bytes> {
    let append = json!({"type": "input_audio_buffer.append", "audio": base64(audio)});
    let incoming = stage.codec.decode(Message::Text(append.to_string())).unwrap();
    incoming
        .into_iter()
        .map(|incoming| match incoming {
            Incoming::Audio(packet) => packet.payload,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn row_030_an_append_is_heard_and_not_answered() {
    let mut stage = connect();
    stage.audio(2_000, false);
    stage.expect_nothing();
    stage.audio(500, true);
    stage.expect("input_audio_buffer.speech_started");
    stage.expect_nothing();
}

#[test]
fn row_031_g711_both_ways() {
    for (kind, codec) in [("audio/pcmu", AudioCodec::Pcmu), ("audio/pcma", AudioCodec::Pcma)] {
        let format = json!({"type": kind});
        let mut stage = connect_with(json!({"audio": {"input": {"format": format}, "output": {"format": format}}}));
        assert_eq!((stage.codec.input_format().codec, stage.codec.output_format().codec), (codec, codec));
        stage.say("hello");
        stage.answer("Hello.");
        let delta = stage.find("response.output_audio.delta");
        assert_eq!(delta["delta"].as_str().map(str::len), Some(480 / 3 * 4), "60 ms at 8 kHz");
        assert_eq!(stage.find("response.done")["response"]["audio"]["output"]["format"], format);
    }
}

#[test]
fn row_032_other_rates_by_extension() {
    for rate in [8_000, 16_000, 48_000] {
        let format = json!({"type": "audio/pcm", "rate": rate});
        let mut stage = connect_with(json!({"audio": {"input": {"format": format}}}));
        assert_eq!(stage.codec.input_format().rate_hz, rate);
        assert_eq!(stage.codec.output_format().rate_hz, 24_000);
        stage.say("hello");
        assert_eq!(stage.requests.len(), 1);
    }
}

#[test]
fn row_033_pieces_of_any_length() {
    let mut stage = connect();
    let format = stage.codec.input_format();
    let audio = sound(format, 1_000, true);
    let mut put_together = Vec::new();
    let mut rest = audio.as_slice();
    for size in [1, 1, 2, 3, 999, 4_801, usize::MAX] {
        let (piece, left) = rest.split_at(size.min(rest.len()));
        for payload in payloads(&mut stage, piece) {
            assert_eq!(payload.len() % 2, 0, "whole samples");
            put_together.extend(payload);
        }
        rest = left;
    }
    assert_eq!(put_together, audio);

    let long = vec![0; 15 << 20];
    let packets = payloads(&mut stage, &long);
    assert_eq!(packets.iter().map(Bytes::len).sum::<usize>(), long.len());
    assert!(packets.iter().all(|packet| packet.len() <= 48_000), "a second at most");
    assert!(payloads(&mut stage, &[]).is_empty());
}

#[test]
fn row_034_bad_base64_changes_nothing() {
    let mut stage = connect();
    let sample = 12_345_i16.to_le_bytes();
    assert!(payloads(&mut stage, &sample[..1]).is_empty());
    for (audio, id) in [(json!("@@@@"), "a1"), (json!(7), "a2"), (json!(null), "a3")] {
        stage.send(json!({"type": "input_audio_buffer.append", "event_id": id, "audio": audio}));
        let error = stage.expect("error")["error"].clone();
        assert_eq!((error["event_id"].as_str(), error["param"].as_str()), (Some(id), Some("audio")));
    }
    assert_eq!(payloads(&mut stage, &sample[1..]), [Bytes::copy_from_slice(&sample)], "the half sample is still there");
}

#[test]
fn row_035_a_text_above_the_limit_is_an_error() {
    let mut stage = connect();
    stage.send_text(" ".repeat(TEXT_BYTES_MAX + 1));
    stage.expect_error("event_too_large", None);
    let audio = "A".repeat((15 << 20) / 3 * 4 + 8);
    stage.send_text(json!({"type": "input_audio_buffer.append", "event_id": "big", "audio": audio}).to_string());
    stage.expect_error("invalid_value", Some("big"));
}

#[test]
fn row_036_a_commit_makes_an_item_and_no_response() {
    let mut stage = manual();
    stage.audio(800, true);
    stage.expect_nothing();
    stage.send(json!({"type": "input_audio_buffer.commit"}));
    let events = stage.expect_all(&COMMITTED);
    assert_eq!(events[0]["item_id"], events[1]["item"]["id"]);
    assert_eq!(events[1]["item"]["content"], json!([{"type": "input_audio", "transcript": null}]));
    stage.expect_nothing();
    stage.transcript("what time is it");
    stage.expect("conversation.item.input_audio_transcription.delta");
    stage.expect("conversation.item.input_audio_transcription.completed");
    stage.advance(10_000);
    stage.expect_nothing();
    assert!(stage.requests.is_empty());
    stage.send(json!({"type": "response.create"}));
    stage.expect("response.created");
    assert_eq!(stage.request().1.history.len(), 1);
}

#[test]
fn row_037_an_empty_commit_is_an_error() {
    for mut stage in [manual(), connect()] {
        stage.send(json!({"type": "input_audio_buffer.commit", "event_id": "empty"}));
        stage.expect_error("input_audio_buffer_commit_empty", Some("empty"));
    }
}

#[test]
fn row_038_a_commit_after_the_servers_own_is_none() {
    let mut stage = connect();
    stage.speak(600);
    stage.take();
    stage.send(json!({"type": "input_audio_buffer.commit", "event_id": "late"}));
    stage.expect_nothing();
    stage.send(json!({"type": "input_audio_buffer.commit", "event_id": "later"}));
    stage.expect_error("input_audio_buffer_commit_empty", Some("later"));

    let mut strict = Stage::new(floe::protocol::openai::Opening { strict: true, ..opening() });
    strict.speak(600);
    strict.take();
    strict.send(json!({"type": "input_audio_buffer.commit", "event_id": "late"}));
    strict.expect_error("input_audio_buffer_commit_empty", Some("late"));
}

#[test]
fn row_039_a_clear_does_not_move_the_clock() {
    let mut stage = connect();
    for ms in [7, 1_001, 1_992] {
        stage.audio(ms, false);
        stage.send(json!({"type": "input_audio_buffer.clear"}));
        stage.expect("input_audio_buffer.cleared");
    }
    stage.audio(1_000, false);
    stage.audio(500, true);
    let started = stage.expect("input_audio_buffer.speech_started");
    let at = started["audio_start_ms"].as_u64().unwrap();
    assert!((3_680..=3_720).contains(&at), "4,000 less 300 of padding: {at}");
    stage.send(json!({"type": "input_audio_buffer.clear"}));
    stage.expect("input_audio_buffer.speech_stopped");
    stage.expect("input_audio_buffer.cleared");
    stage.audio(2_000, false);
    stage.expect_nothing();
}

#[test]
fn row_040_a_client_with_its_own_detector() {
    let mut stage = manual();
    stage.audio(2_000, false);
    stage.send(json!({"type": "input_audio_buffer.clear"}));
    stage.expect("input_audio_buffer.cleared");
    // The pre-roll that it kept, then the rest.
    stage.audio(300, true);
    stage.send(json!({"type": "response.cancel", "event_id": "early"}));
    stage.expect_error("response_cancel_not_active", Some("early"));
    stage.audio(700, true);
    stage.send(json!({"type": "input_audio_buffer.commit"}));
    stage.send(json!({"type": "response.create"}));
    stage.expect_all(&COMMITTED);
    stage.expect("response.created");
    let at = stage.finals.front().expect("asked for words").1;
    let from = stage.starts.last().expect("a recognition").1;
    assert!((1_980..=2_020).contains(&from.as_ms()), "nothing of what was cleared: {from}");
    assert!((2_960..=3_020).contains(&at.as_ms()), "{at}");
    stage.transcript("the right words");
    assert!(format!("{:?}", stage.request().1.history).contains("the right words"));
}

#[test]
fn row_041_a_recording_faster_than_time() {
    let mut stage = connect();
    let format = stage.codec.input_format();
    let mut file = sound(format, 1_000, false);
    for _ in 0..3 {
        file.extend(sound(format, 1_000, true));
        file.extend(sound(format, 2_000, false));
    }
    stage.send(json!({"type": "input_audio_buffer.append", "audio": base64(&file)}));
    let starts: Vec<u64> = stage
        .take()
        .iter()
        .filter(|event| event["type"] == "input_audio_buffer.speech_started")
        .map(|event| event["audio_start_ms"].as_u64().unwrap())
        .collect();
    for (start, expected) in starts.iter().zip([700, 3_700, 6_700]) {
        assert!(start.abs_diff(expected) <= 32, "{starts:?}");
    }
    assert_eq!(starts.len(), 3);
}

#[test]
fn row_042_a_binary_frame_is_an_error() {
    let mut stage = connect();
    stage.send_message(Message::Binary(Bytes::from_static(&[1, 2, 3])));
    stage.expect_error("invalid_event", None);
}

#[test]
fn formats_change_while_audio_flows() {
    let mut stage = connect();
    stage.audio(1_000, false);
    stage.update(json!({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}));
    assert_eq!(stage.codec.input_format(), Format { codec: AudioCodec::Pcmu, rate_hz: 8_000, frame_ms: 60 });
    stage.audio(1_000, false);
    stage.audio(500, true);
    let at = stage.expect("input_audio_buffer.speech_started")["audio_start_ms"].as_u64().unwrap();
    assert!(at.abs_diff(1_700) <= 32, "{at}");
}
