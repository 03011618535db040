//! Continuous containers over a socket.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    time::Duration,
};

use bytes::Bytes;
use floe::audio::{
    Codec, Error, Frame, Ingress, Progress,
    container::{Limits, decode_file},
};

use super::{container, format, joined};
use crate::support::fixture;

const PATIENCE: Duration = Duration::from_secs(20);

/// A stream, and a channel that gets a message per wake and ends with the stream's thread.
fn stream(codec: Codec) -> (Ingress, Receiver<()>) {
    let (woken, wakes) = sync_channel(1);
    let wake = Box::new(move || {
        let _ = woken.try_send(());
    });
    (Ingress::with_wake(format(codec, 0), Some(wake)).unwrap(), wakes)
}

fn streams() -> [(Codec, Vec<u8>); 3] {
    [
        (Codec::WebmOpus, container("clip.webm")),
        (Codec::OggOpus, container("clip.ogg")),
        (Codec::Wav, std::fs::read(fixture("audio/17-slt.wav")).unwrap()),
    ]
}

/// Waits for the end of a stream.
fn drain(ingress: &mut Ingress, wakes: &Receiver<()>, frames: &mut Vec<Frame>) -> Result<(), Error> {
    while ingress.poll_ready(frames)? == Progress::Open {
        assert_ne!(wakes.recv_timeout(PATIENCE), Err(RecvTimeoutError::Timeout));
    }
    Ok(())
}

#[test]
fn pieces_of_any_size_give_what_the_file_gives() {
    for (codec, bytes) in streams() {
        let mut whole = decode_file(Bytes::from(bytes.clone()), Limits::default()).unwrap().data;
        whole.resize(whole.len().next_multiple_of(256), 0.0);
        for size in [1, 7, 1_000, bytes.len()] {
            let ((mut ingress, wakes), mut frames) = (stream(codec), Vec::new());
            for piece in bytes.chunks(size) {
                ingress.push(piece, None, false, &mut frames).unwrap();
            }
            ingress.finish(&mut frames).unwrap();
            drain(&mut ingress, &wakes, &mut frames).unwrap();
            assert_eq!(joined(&frames), whole, "{codec} in pieces of {size}");
        }
    }
}

#[test]
fn audio_comes_out_before_the_stream_ends() {
    for (codec, bytes) in streams() {
        let ((mut ingress, wakes), mut frames) = (stream(codec), Vec::new());
        // The Ogg file has its audio in two pages, the first of which ends after one second.
        let part = bytes.len() * 3 / 4;
        ingress.push(&bytes[..part], None, false, &mut frames).unwrap();
        while frames.is_empty() {
            wakes.recv_timeout(PATIENCE).unwrap();
            assert_eq!(ingress.poll_ready(&mut frames), Ok(Progress::Open), "{codec}");
        }
    }
}

#[test]
fn dropping_a_stream_ends_its_thread() {
    for (codec, bytes) in streams() {
        for len in [0, 10, bytes.len() / 2, bytes.len()] {
            let (mut ingress, wakes) = stream(codec);
            ingress.push(&bytes[..len], None, false, &mut Vec::new()).unwrap();
            drop(ingress);
            // The thread owns the sender: the channel closes when the thread is gone.
            while wakes.recv_timeout(PATIENCE).is_ok() {}
            assert_eq!(wakes.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "{codec} after {len} bytes");
        }
    }
}

#[test]
fn a_full_stream_refuses_whole_pieces_and_goes_on_later() {
    let ((mut ingress, wakes), mut frames) = (stream(Codec::Wav), Vec::new());
    let mut bytes = std::io::Cursor::new(Vec::new());
    let data = (0..16_000 * 20).map(|n| (n % 1_000) as f32 / 2_000.0).collect();
    floe::audio::wav::write(&mut bytes, &floe::audio::Samples { rate_hz: 16_000, data }).unwrap();
    let (mut refused, mut held) = (0, Vec::new());
    for piece in bytes.get_ref().chunks(50_000) {
        // What comes out with a refusal is set aside, so that the thread meets its own bound too.
        while let Err(error) = ingress.push(piece, None, false, &mut held) {
            assert_eq!(error, Error::InputLagging);
            refused += 1;
            let _ = wakes.recv_timeout(Duration::from_millis(50));
        }
        frames.append(&mut held);
    }
    ingress.finish(&mut frames).unwrap();
    drain(&mut ingress, &wakes, &mut frames).unwrap();
    assert_eq!(frames.len(), 16_000 * 20 / 256, "{refused} refusals");
    let error = ingress.push(&[0; 100], None, false, &mut frames).unwrap_err();
    assert_eq!(error, Error::StreamEnded);
}

#[test]
fn one_piece_larger_than_the_bound_is_refused() {
    let (mut ingress, _wakes) = stream(Codec::WebmOpus);
    let error = ingress.push(&vec![0; 300 * 1_024], None, false, &mut Vec::new()).unwrap_err();
    assert_eq!((error.code(), error.is_recoverable()), ("input_lagging", true));
}

#[test]
fn a_stream_that_never_holds_audio_is_given_up() {
    // An EBML header, then a tag element that claims to be huge.
    let (mut ingress, wakes) = stream(Codec::WebmOpus);
    let mut bytes = container("clip.webm")[..60].to_vec();
    bytes.extend([0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    bytes.extend([0x12, 0x54, 0xC3, 0x67, 0x01, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00]);
    bytes.extend(vec![0x41; 4 * 1024 * 1024]);
    let mut frames = Vec::new();
    let error = bytes.chunks(60_000).find_map(|piece| {
        loop {
            match ingress.push(piece, None, false, &mut frames) {
                Err(Error::InputLagging) => {
                    let _ = wakes.recv_timeout(Duration::from_millis(20));
                }
                Err(error) => return Some(error),
                Ok(()) => return None,
            }
        }
    });
    assert_eq!(error.map(|error| error.code()), Some("audio_container_unreadable"));
    assert!(frames.is_empty());
}

#[test]
fn a_text_instead_of_a_stream_is_an_error() {
    let ((mut ingress, wakes), mut frames) = (stream(Codec::WebmOpus), Vec::new());
    ingress.push(b"{\"type\":\"hello\"}", None, false, &mut frames).unwrap();
    ingress.finish(&mut frames).unwrap();
    let error = drain(&mut ingress, &wakes, &mut frames).unwrap_err();
    assert!(!error.is_recoverable() && frames.is_empty(), "{error}");
}
