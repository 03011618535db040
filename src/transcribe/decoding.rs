//! Decoding beside the runtime: symphonia's readers block, and a minute of MP3 is a second of work.

use std::thread;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::audio::{AudioPos, Error, Frame, container::Limits, file::FileFrames};

/// What comes out of a file.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// The next frame.
    Frame(Frame),
    /// The end of its audio.
    End(AudioPos),
}

/// Decodes a file on a thread of its own, which ends within one packet once nobody takes frames any more. Either an error or
/// [`Decoded::End`] comes last.
pub(crate) fn start(bytes: Bytes, limits: Limits) -> mpsc::Receiver<Result<Decoded, Error>> {
    let (sender, frames) = mpsc::channel(FRAMES_MAX);
    let started = thread::Builder::new().name("floe-file".into()).spawn({
        let sender = sender.clone();
        move || decode(bytes, limits, &sender)
    });
    if let Err(error) = started {
        let broken = Error::Broken { what: format!("no thread for the file: {error}") };
        // The channel is empty.
        let _room = sender.try_send(Err(broken));
    }
    frames
}

fn decode(bytes: Bytes, limits: Limits, sender: &mpsc::Sender<Result<Decoded, Error>>) {
    let mut frames = match FileFrames::open(bytes, limits) {
        Ok(frames) => frames,
        Err(error) => {
            let _gone = sender.blocking_send(Err(error));
            return;
        }
    };
    loop {
        let next = frames.next_frame();
        let over = !matches!(next, Ok(Some(_)));
        let decoded = next.map(|frame| frame.map_or_else(|| Decoded::End(frames.length()), Decoded::Frame));
        if sender.blocking_send(decoded).is_err() || over {
            return;
        }
    }
}

/// How long a file's audio is, found by decoding all of it and keeping none. A file that is too long or that breaks in the
/// middle is an error before anything is done with its beginning. Dropping the future ends the work within one packet.
pub(crate) async fn measure(bytes: Bytes, limits: Limits) -> Result<AudioPos, Error> {
    let (mut sender, length) = oneshot::channel();
    let started = thread::Builder::new().name("floe-file".into()).spawn(move || {
        if let Some(measured) = walk(bytes, limits, &mut sender) {
            let _gone = sender.send(measured);
        }
    });
    started.map_err(|error| Error::Broken { what: format!("no thread for the file: {error}") })?;
    length.await.unwrap_or(Err(Error::StreamEnded))
}

/// `None` if nobody waits any more.
fn walk(
    bytes: Bytes,
    limits: Limits,
    asked: &mut oneshot::Sender<Result<AudioPos, Error>>,
) -> Option<Result<AudioPos, Error>> {
    let mut frames = match FileFrames::open(bytes, limits) {
        Ok(frames) => frames,
        Err(error) => return Some(Err(error)),
    };
    while !asked.is_closed() {
        match frames.next_frame() {
            Ok(Some(_)) => {}
            Ok(None) => return Some(Ok(frames.length())),
            Err(error) => return Some(Err(error)),
        }
    }
    None
}

/// Decoded frames that nobody has listened to yet: two seconds. When full, the thread waits.
const FRAMES_MAX: usize = 128;
