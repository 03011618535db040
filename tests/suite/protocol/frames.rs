//! Binary messages: header, sequence, limits, both framings.

use std::time::Duration;

use bytes::Bytes;
use floe::{
    audio::AudioChunk,
    conversation::Event,
    ids::{ItemId, ResponseId},
    protocol::{
        AudioPacket, Codec, Incoming, Message, ProtocolError,
        native::frame::{AUDIO_DOWN, AUDIO_UP, DROPPED, DTX, HEADER_BYTES, Header, LAST, START},
    },
};
use proptest::prelude::*;

use super::{PLAIN_HELLO, codec};

fn up(sequence: u32, flags: u8) -> Header {
    Header { kind: AUDIO_UP, flags, stream: 0, sequence, timestamp: sequence.wrapping_mul(320) }
}

fn message(header: Header, payload: &[u8]) -> Message {
    Message::Binary(header.join(payload))
}

proptest! {
    #[test]
    fn a_header_and_its_payload_survive(
        kind: u8, flags: u8, stream: u16, sequence: u32, timestamp: u32,
        payload in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let header = Header { kind, flags, stream, sequence, timestamp };
        let (read, rest) = Header::split(header.join(&payload)).expect("long enough");
        prop_assert_eq!(read, header);
        prop_assert_eq!(&rest[..], &payload[..]);
    }

    #[test]
    fn fewer_than_twelve_bytes_are_no_header(bytes in proptest::collection::vec(any::<u8>(), 0..HEADER_BYTES)) {
        prop_assert_eq!(Header::split(Bytes::from(bytes.clone())).map_err(|error| error.0), Err(bytes.len()));
    }
}

#[test]
fn a_header_is_big_endian() {
    let header = Header { kind: 2, flags: 3, stream: 0x0102, sequence: 0x0304_0506, timestamp: 0x0708_090a };
    assert_eq!(header.to_bytes(), [2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
}

fn gaps(frames: &[(u32, u8)]) -> Vec<Result<bool, &'static str>> {
    let mut codec = codec(PLAIN_HELLO);
    frames
        .iter()
        .map(|(sequence, flags)| {
            match codec.decode(message(up(*sequence, *flags), &[0; 640])).expect("open").remove(0) {
                Incoming::Audio(packet) => Ok(packet.gap),
                Incoming::Refused(error) => Err(error.code),
                other => panic!("{other:?}"),
            }
        })
        .collect()
}

#[test]
fn missing_frames_and_flags_are_gaps_and_repeated_frames_are_thrown_away() {
    assert_eq!(gaps(&[(5, 0), (6, 0), (8, 0), (9, 0)]), [Ok(false), Ok(false), Ok(true), Ok(false)]);
    assert_eq!(gaps(&[(0, START), (1, DROPPED), (2, 0)]), [Ok(true), Ok(true), Ok(false)]);
    assert_eq!(gaps(&[(3, 0), (3, 0), (4, 0)]), [Ok(false), Err("stale_frame"), Ok(false)]);
    assert_eq!(gaps(&[(u32::MAX, 0), (0, 0)]), [Ok(false), Ok(false)], "the count wraps");
}

#[test]
fn other_kinds_are_ignored() {
    let mut codec = codec(PLAIN_HELLO);
    for kind in [0, 2, 3, 255] {
        assert_eq!(codec.decode(message(Header { kind, ..up(0, 0) }, &[1, 2, 3])), Ok(Vec::new()));
    }
}

#[test]
fn bad_frames_close() {
    let close =
        |message| codec(PLAIN_HELLO).decode(message).err().map(|error: ProtocolError| (error.close, error.code));
    assert_eq!(close(Message::Binary(Bytes::from_static(&[1, 0, 0]))), Some((Some(4400), "bad_frame")));
    assert_eq!(close(message(up(0, 0), &[0; 641])), Some((Some(4400), "bad_frame")), "half a sample");
    assert_eq!(close(message(up(0, 0), &[0; 6402])), Some((Some(4400), "bad_frame")), "more than 200 ms");
    assert_eq!(close(message(up(0, 0), &[0; 6400])), None);
    assert_eq!(close(message(up(0, 0), &[0; 70_000])), Some((Some(1009), "too_big")));
    assert_eq!(close(message(up(0, DTX), &[])), None);
}

#[test]
fn too_many_frames_close_unless_a_recording_is_sent() {
    let run = |hello: &str| {
        let mut codec = codec(hello);
        (0..3_001).find_map(|i| codec.decode(message(up(i, 0), &[0; 640])).err()).and_then(|error| error.close)
    };
    assert_eq!(run(PLAIN_HELLO), Some(4429));
    let file = r#"{"type":"hello","input":{"formats":[{"codec":"pcm_s16le","rate":16000}],"pace":"file"}}"#;
    assert_eq!(run(file), None);
}

#[test]
fn raw_framing_is_nothing_but_audio() {
    let mut codec = codec(r#"{"type":"hello","framing":"raw"}"#);
    let payload = Bytes::from_static(&[1, 2, 3, 4]);
    let packet = AudioPacket { payload: payload.clone(), timestamp: None, gap: false };
    assert_eq!(codec.decode(Message::Binary(payload.clone())), Ok(vec![Incoming::Audio(packet)]));

    let mut out = Vec::new();
    codec.encode(&speech(1, payload.clone(), 0, false), &mut out);
    codec.encode(&speech(1, Bytes::new(), 20, true), &mut out);
    assert_eq!(out, [Message::Binary(payload)], "no empty message");
}

fn speech(response: u32, payload: Bytes, offset_ms: u64, last: bool) -> Event {
    let samples = u32::try_from(payload.len() / 2).expect("small");
    let chunk = AudioChunk { payload, samples, clock_hz: 24_000 };
    Event::ResponseAudio {
        response: ResponseId(response),
        item: ItemId(1),
        chunk,
        offset: Duration::from_millis(offset_ms),
        last,
    }
}

#[test]
fn speech_is_numbered_within_its_reply_and_marked_at_both_ends() {
    let mut codec = codec(PLAIN_HELLO);
    let mut out = Vec::new();
    let payload = || Bytes::from_static(&[9; 960]);
    codec.encode(&speech(65_537, payload(), 0, false), &mut out);
    codec.encode(&speech(65_537, payload(), 20, false), &mut out);
    codec.encode(&speech(65_537, Bytes::new(), 40, true), &mut out);
    codec.encode(&speech(65_538, payload(), 0, true), &mut out);
    let headers: Vec<_> = out
        .into_iter()
        .map(|message| match message {
            Message::Binary(bytes) => {
                let (header, payload) = Header::split(bytes).expect("a header");
                (header, payload.len())
            }
            Message::Text(text) => panic!("{text}"),
        })
        .collect();
    let down = |flags, stream, sequence, timestamp| Header { kind: AUDIO_DOWN, flags, stream, sequence, timestamp };
    assert_eq!(
        headers,
        [
            (down(START, 1, 0, 0), 960),
            (down(0, 1, 1, 480), 960),
            (down(LAST, 1, 2, 960), 0),
            (down(START | LAST, 2, 0, 0), 960),
        ]
    );
}

#[test]
fn timestamps_of_odd_rates_are_whole_samples() {
    let hello = r#"{"type":"hello","output":{"formats":[{"codec":"pcm_s16le","rate":44100}]}}"#;
    let mut codec = codec(hello);
    let mut out = Vec::new();
    for sample in [0_u64, 882, 1764, 3_999_870] {
        let offset = Duration::from_micros(sample * 1_000_000 / 44_100);
        let chunk = AudioChunk { payload: Bytes::from_static(&[0, 0]), samples: 882, clock_hz: 44_100 };
        out.clear();
        codec.encode(
            &Event::ResponseAudio { response: ResponseId(1), item: ItemId(1), chunk, offset, last: false },
            &mut out,
        );
        let Some(Message::Binary(bytes)) = out.pop() else { panic!("a frame") };
        assert_eq!(u64::from(Header::split(bytes).expect("a header").0.timestamp), sample);
    }
}
