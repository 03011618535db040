//! The local voice: one `espeak-ng` process per segment, read while it speaks.
//!
//! espeak-ng is GPL and keeps its state in globals, so it stays at arm's length: text goes in through stdin, a WAV stream
//! comes out of stdout. Starting one costs about ten milliseconds. A process ends with its segment, or is killed when the
//! stream is dropped.

use std::{process::Stdio, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future, stream, stream::BoxStream};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    Segment, TextToSpeech,
    trim::Trim,
    wav::{self, Pcm16},
};
use crate::{
    audio::Samples,
    engine::{Error, ErrorKind},
};

/// Bytes read at once: 93 ms of speech, which is also what espeak-ng writes at once.
const READ_BYTES: usize = 4_096;

/// Pieces that wait for the consumer, per stream: about 24 s of speech. When they are full the process waits at its pipe,
/// so that a slow consumer holds a process only for segments longer than that.
const QUEUE_PIECES: usize = 256;

/// How the local voice sounds.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The program, by name or path.
    pub program: String,
    /// Voice where the client names none (`espeak-ng --voices` lists them).
    pub voice: String,
    /// Speed in words per minute, 80 to 450.
    pub speed_wpm: u32,
    /// Pitch, 0 to 99.
    pub pitch: u32,
    /// Longest time that one segment may keep us waiting for the program, in milliseconds.
    pub timeout_ms: u64,
    /// Processes at the same time; further segments wait for one to end.
    pub max_processes: usize,
    /// Longest text of one segment, in bytes.
    pub max_text_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            program: "espeak-ng".into(),
            voice: "en-us".into(),
            speed_wpm: 175,
            pitch: 50,
            timeout_ms: 10_000,
            max_processes: 16,
            max_text_bytes: 4_096,
        }
    }
}

/// The engine.
pub struct Espeak {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    /// A permit per process; waiting for one counts towards the segment's time.
    processes: Semaphore,
}

impl Espeak {
    /// Checks the settings; starts nothing. Needs a Tokio runtime once it speaks.
    pub fn new(config: Config) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::new(ErrorKind::Rejected, format_args!("tts.espeak.{what}")));
        if !(80..=450).contains(&config.speed_wpm) {
            return wrong("speed_wpm must be 80 to 450");
        }
        if config.pitch > 99 {
            return wrong("pitch must be 0 to 99");
        }
        if !is_voice_name(&config.voice) {
            return wrong("voice must be a name as `espeak-ng --voices` lists them");
        }
        if config.max_processes == 0 || config.max_processes > Semaphore::MAX_PERMITS {
            return wrong("max_processes must be at least 1");
        }
        let processes = Semaphore::new(config.max_processes);
        Ok(Self { inner: Arc::new(Inner { config, processes }) })
    }

    /// The program's own words about its version; fails as speaking would if it is missing. For `floe doctor`.
    pub async fn version(&self) -> Result<String, Error> {
        let config = &self.inner.config;
        let output = Command::new(&config.program).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
        let output = timeout(Duration::from_millis(config.timeout_ms), output).await.map_err(|_| too_slow(config))?;
        let output = output.map_err(|error| not_started(config, &error))?;
        Ok(printable(&output.stdout))
    }
}

impl TextToSpeech for Espeak {
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, Error>> {
        let inner = self.inner.clone();
        // Lazy: the process starts when the stream is first polled.
        let pieces = async move {
            let (pieces, received) = mpsc::channel(QUEUE_PIECES);
            let mut scope = JoinSet::new();
            scope.spawn(async move {
                if let Err(error) = inner.speak(&segment, &pieces).await {
                    // Nobody is left to hear it if this fails.
                    let _ = pieces.send(Err(error)).await;
                }
            });
            stream::unfold((received, scope), |(mut received, mut scope)| async move {
                let piece = match received.recv().await {
                    Some(piece) => piece,
                    // The task dropped its sender: it is over, or it panicked.
                    None => match scope.join_next().await {
                        Some(Err(_)) => Err(Error::new(ErrorKind::Broken, "the voice's task failed")),
                        _ => return None,
                    },
                };
                Some((piece, (received, scope)))
            })
        };
        pieces.into_stream().flatten().boxed()
    }
}

impl Inner {
    async fn speak(&self, segment: &Segment, pieces: &mpsc::Sender<Result<Samples, Error>>) -> Result<(), Error> {
        let text = sanitized(&segment.text);
        if text.is_empty() {
            return Ok(());
        }
        if text.len() > self.config.max_text_bytes {
            let message =
                format!("a segment of {} bytes; at most {} are spoken", text.len(), self.config.max_text_bytes);
            return Err(Error::new(ErrorKind::Rejected, message));
        }
        let voice = self.voice(segment)?;
        let mut patience = Patience { left: Duration::from_millis(self.config.timeout_ms) };
        let permit = patience.wait(self.processes.acquire()).await.ok_or_else(|| {
            Error::new(ErrorKind::Busy, format_args!("all {} voices are speaking", self.config.max_processes))
        })?;
        let _permit = permit.map_err(|_| Error::new(ErrorKind::Cancelled, "the voice is closed"))?;

        let mut child = self.start(&voice, segment.speed)?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::new(ErrorKind::Broken, "a pipe of the voice is missing"));
        };
        let speech = self.listen(&text, stdin, stdout, pieces, &mut patience);
        let ((), complaint) = future::try_join(speech, complaint(stderr).map(Ok)).await?;
        let status = patience.wait(child.wait()).await.ok_or_else(|| too_slow(&self.config))?;
        let status = status.map_err(|error| Error::new(ErrorKind::Broken, error))?;
        match (
            status.success(),
            complaint.contains("voice does not exist") || complaint.contains("Unknown phoneme table"),
        ) {
            (true, false) => Ok(()),
            (_, true) => Err(Error::new(ErrorKind::Rejected, format_args!("espeak-ng has no voice \"{voice}\""))),
            (false, false) => Err(Error::new(ErrorKind::Broken, format_args!("espeak-ng: {status}: {complaint}"))),
        }
    }

    fn start(&self, voice: &str, speed: f32) -> Result<Child, Error> {
        let config = &self.config;
        // The range of `speed_wpm`: the program speaks no slower, and nobody understands it faster.
        let speed_wpm = (config.speed_wpm as f32 * speed).round().clamp(80.0, 450.0) as u32;
        Command::new(&config.program)
            .args(["--stdout", "--stdin", "-b", "1", "-z"])
            .args(["-s", &speed_wpm.to_string(), "-p", &config.pitch.to_string(), "-v", voice])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_started(config, &error))
    }

    /// Hands over the text and passes the speech on as it comes.
    async fn listen(
        &self,
        text: &str,
        mut stdin: ChildStdin,
        mut stdout: ChildStdout,
        pieces: &mpsc::Sender<Result<Samples, Error>>,
        patience: &mut Patience,
    ) -> Result<(), Error> {
        // A program that ends early closes the pipe; its exit status says why.
        let _ = patience.wait(stdin.write_all(text.as_bytes())).await.ok_or_else(|| too_slow(&self.config))?;
        drop(stdin);
        let mut decoder = Decoder::default();
        let mut buffer = [0; READ_BYTES];
        loop {
            let read = patience.wait(stdout.read(&mut buffer)).await.ok_or_else(|| too_slow(&self.config))?;
            let length = read.map_err(|error| Error::new(ErrorKind::Broken, error))?;
            let samples = if length == 0 { decoder.finish() } else { decoder.push(&buffer[..length])? };
            if let Some(samples) = samples
                && pieces.send(Ok(samples)).await.is_err()
            {
                return Err(Error::new(ErrorKind::Cancelled, "the stream was dropped"));
            }
            if length == 0 {
                return Ok(());
            }
        }
    }

    /// The client's voice, else the language's, else ours. A language that our own voice speaks keeps our voice.
    fn voice(&self, segment: &Segment) -> Result<String, Error> {
        let ours = &self.config.voice;
        let primary = |tag: &str| tag.split(['-', '_', '+']).next().unwrap_or_default().to_ascii_lowercase();
        let language = &*segment.language;
        let name = match &*segment.voice {
            "" if language.is_empty() || language.eq_ignore_ascii_case(&primary(ours)) => ours,
            "" => language,
            voice => voice,
        };
        if is_voice_name(name) {
            Ok(name.replace('_', "-"))
        } else {
            Err(Error::new(ErrorKind::Rejected, "the voice's name has characters that no name has"))
        }
    }
}

/// Bytes of a WAV stream to trimmed samples.
#[derive(Default)]
struct Decoder {
    head: Vec<u8>,
    body: Option<(u32, Pcm16, Trim)>,
}

impl Decoder {
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Samples>, Error> {
        let mut data = Vec::new();
        if let Some((_, pcm, _)) = &mut self.body {
            pcm.push(bytes, &mut data);
        } else {
            self.head.extend_from_slice(bytes);
            let Some(header) = wav::header(&self.head)? else { return Ok(None) };
            let mut pcm = Pcm16::default();
            pcm.push(&self.head[header.data_at..], &mut data);
            self.body = Some((header.rate_hz, pcm, Trim::new(header.rate_hz)));
            self.head = Vec::new();
        }
        Ok(self.body.as_mut().and_then(|(rate_hz, _, trim)| piece(*rate_hz, trim.push(&data))))
    }

    fn finish(&mut self) -> Option<Samples> {
        let (rate_hz, _, trim) = self.body.as_mut()?;
        piece(*rate_hz, trim.finish())
    }
}

fn piece(rate_hz: u32, data: Vec<f32>) -> Option<Samples> {
    (!data.is_empty()).then_some(Samples { rate_hz, data })
}

/// The time that one segment may keep us waiting. Time in which we do not wait (a slow consumer) does not count.
struct Patience {
    left: Duration,
}

impl Patience {
    /// Waits for `future`; `None` when patience is at an end.
    #[expect(clippy::disallowed_methods, reason = "measures a wait for a process; no conversation is timed by it")]
    async fn wait<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let began = Instant::now();
        let value = timeout(self.left, future).await.ok();
        self.left = self.left.saturating_sub(began.elapsed());
        value
    }
}

/// What espeak-ng may be told: no control characters (they are commands to it), no `[[` (phonemes follow).
pub(super) fn sanitized(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut text = text.trim().to_owned();
    while text.contains("[[") {
        text = text.replace("[[", "[ [");
    }
    text
}

/// Names only: `/` and `.` would make it a path.
pub(super) fn is_voice_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+');
    (1..=48).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-')
}

/// The first words on stderr; the rest is read and dropped, so that the process does not wait for us.
pub(super) async fn complaint(mut stderr: impl AsyncRead + Unpin) -> String {
    let (mut said, mut buffer) = (Vec::new(), [0; 512]);
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        said.extend_from_slice(&buffer[..length.min(512_usize.saturating_sub(said.len()))]);
    }
    printable(&said)
}

pub(super) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn too_slow(config: &Config) -> Error {
    Error::new(ErrorKind::Unavailable, format_args!("espeak-ng did not speak within {} ms", config.timeout_ms))
}

pub(super) fn not_started(config: &Config, error: &std::io::Error) -> Error {
    let message = match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("there is no program `{}`; install it: apt install espeak-ng", config.program)
        }
        _ => format!("cannot start `{}`: {error}", config.program),
    };
    Error::new(ErrorKind::Broken, message)
}
