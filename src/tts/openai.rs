//! The remote voice: any server with OpenAI's `POST /audio/speech`, streamed as raw PCM.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    SPEED_MAX, SPEED_MIN, Segment, TextToSpeech,
    wav::{self, Pcm16},
};
use crate::{
    audio::Samples,
    engine::{Error, ErrorKind, remote, remote::Remote},
};

/// Longest piece passed on, in milliseconds of speech.
const PIECE_MS: u32 = 100;

/// Bytes of an error's body that are looked at.
const ERROR_BYTES: usize = 8_192;

/// How the remote voice is reached and how it sounds.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the server is.
    pub remote: remote::Config,
    /// Model.
    pub model: String,
    /// Voice where the client names none.
    pub voice: String,
    /// Tone and manner, for models that take instructions; empty = none.
    pub instructions: String,
    /// Speed, 0.25 to 4.
    pub speed: f32,
    /// Rate of the raw PCM that the server sends, in Hz (a WAV answer says its own).
    pub rate_hz: u32,
    /// Longest wait for the first speech, in milliseconds.
    pub first_piece_timeout_ms: u64,
    /// Longest speech of one segment, in milliseconds; a server that goes on is cut off.
    pub max_segment_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            remote: remote::Config::default(),
            model: "gpt-4o-mini-tts".into(),
            voice: "alloy".into(),
            instructions: String::new(),
            speed: 1.0,
            rate_hz: 24_000,
            first_piece_timeout_ms: 8_000,
            max_segment_ms: 300_000,
        }
    }
}

/// The engine.
pub struct OpenAi {
    remote: Remote,
    config: Config,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a str,
    voice: &'a str,
    response_format: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
    #[serde(skip_serializing_if = "is_normal")]
    speed: f32,
}

fn is_normal(speed: &f32) -> bool {
    (speed - 1.0).abs() < f32::EPSILON
}

impl OpenAi {
    /// Builds the client; reaches nobody yet.
    pub fn new(config: Config) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::new(ErrorKind::Rejected, format_args!("tts.openai.{what}")));
        if !(SPEED_MIN..=SPEED_MAX).contains(&config.speed) {
            return wrong("speed must be 0.25 to 4");
        }
        if !(8_000..=48_000).contains(&config.rate_hz) {
            return wrong("rate_hz must be 8000 to 48000");
        }
        Ok(Self { remote: Remote::new(&config.remote)?, config })
    }
}

impl TextToSpeech for OpenAi {
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, Error>> {
        if segment.text.trim().is_empty() {
            return stream::empty().boxed();
        }
        let config = self.config.clone();
        let voice = if segment.voice.is_empty() { &*config.voice } else { &*segment.voice };
        let request = self.remote.post("audio/speech").json(&Request {
            model: &config.model,
            input: &segment.text,
            voice,
            response_format: "pcm",
            instructions: &config.instructions,
            speed: (config.speed * segment.speed).clamp(SPEED_MIN, SPEED_MAX),
        });
        async move {
            let wait = Duration::from_millis(config.first_piece_timeout_ms);
            timeout(wait, open(request, &config)).await.unwrap_or_else(|_| {
                let message = format!("no speech within {} ms", config.first_piece_timeout_ms);
                Err(Error::new(ErrorKind::Unavailable, message))
            })
        }
        .into_stream()
        .try_flatten()
        .boxed()
    }
}

/// Sends the request and waits for the first speech.
async fn open(
    request: reqwest::RequestBuilder,
    config: &Config,
) -> Result<BoxStream<'static, Result<Samples, Error>>, Error> {
    let response = request.send().await?;
    let status = response.status();
    let kind =
        response.headers().get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !status.is_success() {
        let code = refusal(response).await;
        return Err(Error::new(
            remote::kind_of_status(status.as_u16()),
            format_args!("HTTP {}{code}", status.as_u16()),
        ));
    }
    if matches!(&*kind, "application/json" | "text/html" | "text/plain" | "audio/mpeg" | "audio/ogg" | "audio/aac") {
        return Err(Error::new(ErrorKind::Broken, format_args!("the server sent {kind} instead of PCM")));
    }
    let mut bytes = response.bytes_stream().map_err(Error::from).boxed();
    let mut decoder = Decoder::new(config);
    let first = loop {
        match bytes.next().await.transpose()? {
            Some(piece) => {
                let first = decoder.push(&piece)?;
                if !first.is_empty() {
                    break first;
                }
            }
            None => return Err(Error::new(ErrorKind::Broken, "the server sent no speech")),
        }
    };
    let rest = stream::unfold(Some((bytes, decoder)), |state| async move {
        let (mut bytes, mut decoder) = state?;
        match bytes.next().await {
            Some(Ok(piece)) => match decoder.push(&piece) {
                Ok(samples) => Some((Ok(samples), Some((bytes, decoder)))),
                Err(error) => Some((Err(error), None)),
            },
            Some(Err(error)) => Some((Err(error), None)),
            None => decoder
                .pcm
                .is_split()
                .then(|| (Err(Error::new(ErrorKind::Broken, "the speech broke off in the middle of a sample")), None)),
        }
    });
    let all = stream::once(async { Ok(first) }).chain(rest);
    Ok(all.map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok))).try_flatten().boxed())
}

/// The code of an error's body, never its message: that may repeat what was said, or part of the key.
async fn refusal(response: reqwest::Response) -> String {
    #[derive(Deserialize)]
    struct Body {
        error: Code,
    }
    #[derive(Deserialize)]
    struct Code {
        code: Option<String>,
        r#type: Option<String>,
    }
    let mut body = Vec::new();
    let mut bytes = response.bytes_stream();
    while let Some(Ok(piece)) = bytes.next().await
        && body.len() + piece.len() <= ERROR_BYTES
    {
        body.extend_from_slice(&piece);
    }
    let code = serde_json::from_slice::<Body>(&body).ok().and_then(|body| body.error.code.or(body.error.r#type));
    code.filter(|code| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .map(|code| format!(" ({code})"))
        .unwrap_or_default()
}

/// The answer's bytes to samples. Servers that ignore `response_format` often send WAV; its header is understood.
struct Decoder {
    rate_hz: u32,
    head: Option<Vec<u8>>,
    pcm: Pcm16,
    /// Samples that may still come.
    left: u64,
}

impl Decoder {
    fn new(config: &Config) -> Self {
        let left = config.max_segment_ms.saturating_mul(u64::from(config.rate_hz)) / 1000;
        Self { rate_hz: config.rate_hz, head: Some(Vec::new()), pcm: Pcm16::default(), left }
    }

    fn push(&mut self, bytes: &Bytes) -> Result<Vec<Samples>, Error> {
        let mut data = Vec::new();
        match &mut self.head {
            None => self.pcm.push(bytes, &mut data),
            Some(head) => {
                head.extend_from_slice(bytes);
                let start = &head[..head.len().min(4)];
                let skip = if start == b"RIFF" {
                    let Some(header) = wav::header(head)? else { return Ok(Vec::new()) };
                    self.rate_hz = header.rate_hz;
                    header.data_at
                } else if start.len() < 4 {
                    return Ok(Vec::new());
                } else {
                    0
                };
                self.pcm.push(&head[skip..], &mut data);
                self.head = None;
            }
        }
        let Some(left) = self.left.checked_sub(data.len() as u64) else {
            return Err(Error::new(ErrorKind::Broken, "the server does not stop speaking"));
        };
        self.left = left;
        let longest = (self.rate_hz * PIECE_MS / 1000).max(1) as usize;
        Ok(data.chunks(longest).map(|data| Samples { rate_hz: self.rate_hz, data: data.to_vec() }).collect())
    }
}
