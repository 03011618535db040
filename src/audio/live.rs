//! A continuous container over a socket. symphonia reads from a blocking source, so each such stream has one OS thread.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{Error, Progress, RATE_HZ, container::Reader, resample::AnyRate};

/// Called on the stream's thread whenever there is something to collect, and when the stream has ended.
pub type Wake = Box<dyn Fn() + Send>;

/// Undecoded bytes that wait for the thread: over a minute of Opus, 1.3 s of the heaviest WAV. When full, a piece is refused
/// as a whole with [`Error::InputLagging`].
const INPUT_BYTES_MAX: usize = 256 * 1024;

/// Decoded samples that wait to be collected: 2 s. When full, the thread waits; then the input fills, and then the socket.
const OUTPUT_SAMPLES_MAX: usize = 2 * RATE_HZ as usize;

/// Bytes that a stream may send without one packet of audio in them: a header that announces gigabytes of something else
/// would otherwise be gathered in memory.
const BARREN_BYTES_MAX: usize = 1024 * 1024;

/// One stream. Dropping it ends the thread within one packet's decoding; nobody waits for that.
pub(super) struct LiveStream {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something changed for the thread: bytes came, room was made, or the stream was closed or abandoned.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    input: VecDeque<u8>,
    /// No more input will come.
    closed: bool,
    /// Nobody collects any more.
    abandoned: bool,
    barren_bytes: usize,
    output: VecDeque<f32>,
    /// Set once, when the thread is done.
    outcome: Option<Result<(), Error>>,
}

impl Shared {
    /// A panic of another holder leaves the queues consistent: each change is one call.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready`. Cannot wait for ever: dropping the stream makes every condition true.
    fn wait(&self, ready: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waiting = |state: &mut State| !(state.abandoned || ready(state));
        self.changed.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveStream {
    /// Starts the stream's thread.
    pub(super) fn start(wake: Option<Wake>) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        let worker = Worker { shared: Arc::clone(&shared), wake };
        thread::Builder::new()
            .name("floe-container".into())
            .spawn(move || worker.run())
            .map_err(|error| Error::broken(format_args!("no thread for the container: {error}")))?;
        Ok(Self { shared })
    }

    /// Hands a piece to the thread; all of it or, with [`Error::InputLagging`], nothing. Never blocks on decoding.
    pub(super) fn push(&self, piece: &[u8]) -> Result<(), Error> {
        let mut state = self.shared.lock();
        match &state.outcome {
            Some(Err(error)) => return Err(error.clone()),
            Some(Ok(())) => return Err(Error::StreamEnded),
            None if state.closed => return Err(Error::StreamEnded),
            None => {}
        }
        if state.input.len() + piece.len() > INPUT_BYTES_MAX {
            return Err(Error::InputLagging);
        }
        state.input.extend(piece);
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// No more input will come: what is inside will still be decoded.
    pub(super) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }

    /// Moves decoded samples to `out`. [`Progress::Ended`] comes once all of them have been moved.
    pub(super) fn collect(&self, out: &mut Vec<f32>) -> Result<Progress, Error> {
        let mut state = self.shared.lock();
        out.extend(state.output.drain(..));
        let outcome = state.outcome.clone();
        drop(state);
        self.shared.changed.notify_all();
        match outcome {
            None => Ok(Progress::Open),
            Some(Ok(())) => Ok(Progress::Ended),
            Some(Err(error)) => Err(error),
        }
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        self.shared.lock().abandoned = true;
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for LiveStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveStream").finish_non_exhaustive()
    }
}

struct Worker {
    shared: Arc<Shared>,
    wake: Option<Wake>,
}

impl Worker {
    fn run(self) {
        let outcome = self.decode();
        self.shared.lock().outcome = Some(outcome);
        self.wake();
    }

    fn decode(&self) -> Result<(), Error> {
        let mut reader = Reader::from_stream(Pipe { shared: Arc::clone(&self.shared) })?;
        let mut resampler = AnyRate::new(RATE_HZ);
        let mut samples = Vec::new();
        while let Some(block) = reader.next_block()? {
            resampler.push(block.rate_hz, block.samples, &mut samples)?;
            if !self.deliver(&mut samples) {
                return Ok(());
            }
        }
        resampler.flush(&mut samples)?;
        self.deliver(&mut samples);
        Ok(())
    }

    /// Waits for room and queues `samples`; false when nobody collects any more. One packet may exceed the bound.
    fn deliver(&self, samples: &mut Vec<f32>) -> bool {
        let mut state = self.shared.wait(|state| state.output.len() < OUTPUT_SAMPLES_MAX);
        state.barren_bytes = 0;
        state.output.extend(samples.drain(..));
        let wanted = !state.abandoned;
        drop(state);
        self.wake();
        wanted
    }

    fn wake(&self) {
        if let Some(wake) = &self.wake {
            wake();
        }
    }
}

/// The thread's end of the input: blocks until there is something to read.
struct Pipe {
    shared: Arc<Shared>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.shared.wait(|state| state.closed || !state.input.is_empty());
        if state.abandoned {
            return Err(io::Error::other("nobody listens any more"));
        }
        let len = state.input.read(buffer)?;
        state.barren_bytes += len;
        if state.barren_bytes > BARREN_BYTES_MAX {
            return Err(io::Error::other("there is no audio in it"));
        }
        Ok(len)
    }
}
