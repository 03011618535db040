//! The microphone of a recording: decoded frames as a session's socket would bring them, and what is asked between them.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Stream, stream};
use tokio::sync::{mpsc, watch};

use crate::{
    audio::{self, AudioPos, FRAME_SAMPLES, Frame},
    protocol::{Message, recorded::wire::Asked},
    session::Received,
    transcribe::decoding::Decoded,
};

/// What a session reads instead of a socket.
pub(super) struct Microphone {
    frames: mpsc::Receiver<Result<Decoded, audio::Error>>,
    control: mpsc::Receiver<Received>,
    read: watch::Sender<AudioPos>,
    told: AudioPos,
    fault: Arc<OnceLock<audio::Error>>,
    batch: Vec<Result<Decoded, audio::Error>>,
    /// At most two.
    next: VecDeque<Received>,
    over: bool,
}

impl Microphone {
    /// A microphone for these frames. What is asked comes by `control`; when that is closed, so is the socket. `fault` is set
    /// before the socket is lost because of the file.
    pub(super) fn new(
        frames: mpsc::Receiver<Result<Decoded, audio::Error>>,
        control: mpsc::Receiver<Received>,
        read: watch::Sender<AudioPos>,
        fault: Arc<OnceLock<audio::Error>>,
    ) -> Self {
        let (told, batch, next) = (AudioPos::default(), Vec::with_capacity(BATCH_FRAMES), VecDeque::new());
        Self { frames, control, read, told, fault, batch, next, over: false }
    }

    /// The socket's incoming half.
    pub(super) fn heard(self) -> impl Stream<Item = Received> + Send {
        stream::unfold(self, |mut microphone| async move { Some((microphone.next().await, microphone)) })
    }

    async fn next(&mut self) -> Received {
        loop {
            if let Some(received) = self.next.pop_front() {
                return received;
            }
            tokio::select! {
                biased;
                asked = self.control.recv() => return asked.unwrap_or(Received::Gone),
                count = self.frames.recv_many(&mut self.batch, BATCH_FRAMES), if !self.over => self.take(count),
            }
        }
    }

    fn take(&mut self, count: usize) {
        let mut audio = BytesMut::with_capacity(count * FRAME_SAMPLES * 2);
        let mut then = None;
        let mut batch = std::mem::take(&mut self.batch);
        for decoded in batch.drain(..) {
            match decoded {
                Ok(Decoded::Frame(frame)) => {
                    if frame.end.since(self.told) >= PROGRESS_EVERY {
                        self.told = frame.end;
                        self.read.send_replace(frame.end);
                    }
                    write(&frame, &mut audio);
                }
                Ok(Decoded::End(_)) => then = Some(Received::Message(Asked::End.message())),
                Err(error) => then = Some(self.fail(error)),
            }
        }
        self.batch = batch;
        if count == 0 {
            then = Some(self.fail(audio::Error::StreamEnded));
        }
        self.over = then.is_some();
        let audio: Bytes = audio.freeze();
        let audio = (!audio.is_empty()).then(|| Received::Message(Message::Binary(audio)));
        self.next.extend(audio.into_iter().chain(then));
    }

    fn fail(&self, error: audio::Error) -> Received {
        // The first fault is the one.
        let _known = self.fault.set(error);
        Received::Gone
    }
}

fn write(frame: &Frame, out: &mut BytesMut) {
    for sample in frame.samples.iter() {
        #[expect(clippy::cast_possible_truncation, reason = "in range, and a cast of floats saturates")]
        let sample = (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
        out.put_i16_le(sample);
    }
}

/// Frames in one message: 160 ms.
const BATCH_FRAMES: usize = 10;

/// Audio between two reports of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
