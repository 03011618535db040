//! `POST /v1/audio/speech`: a text read out, sent while it is spoken.

use std::{io, sync::Arc};

use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::{Problem, admit, json, key_holder};
use crate::{
    audio::{AudioChunk, Codec, Format, ogg_opus::OggOpus, wav},
    auth::Scopes,
    http::{
        App,
        openapi::{self, Binary, Keyed, Worked},
        outgoing,
    },
    protocol::openai::{ErrorObject, OUTPUT_MS_PER_TOKEN},
    recite::{Failed, Recital, recite},
};

/// OpenAI's bound.
const INPUT_CHARS_MAX: usize = 4_096;

/// The rate of everything that is sent.
const RATE_HZ: u32 = 24_000;

/// Audio in one chunk.
const FRAME_MS: u32 = 20;

/// What is to be read out, and how.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = SpeechWanted)]
struct Wanted {
    #[schema(min_length = 1, max_length = 4096)]
    input: String,
    #[schema(inline)]
    voice: Option<Voice>,
    /// wav (default), pcm or opus.
    response_format: Option<String>,
    /// audio (default) or sse.
    stream_format: Option<String>,
    #[schema(minimum = 0.25, maximum = 4)]
    speed: Option<f32>,
}

/// A name, alone or as an object.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
enum Voice {
    Name(String),
    Object { id: String },
}

/// How audio is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Pcm,
    Wav,
    Opus,
}

impl Shape {
    fn of(name: Option<&str>) -> Result<Self, Problem> {
        match name {
            // OpenAI's default is MP3, for which there is no encoder here.
            None | Some("wav" | "") => Ok(Self::Wav),
            Some("pcm") => Ok(Self::Pcm),
            Some("opus") => Ok(Self::Opus),
            Some(other) => {
                let message = format!("There is no encoder for {other:?}; there are wav, pcm and opus.");
                Err(Problem::value("response_format", message))
            }
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Pcm => "audio/pcm",
            Self::Wav => "audio/wav",
            Self::Opus => "audio/ogg",
        }
    }

    const fn format(self) -> Format {
        let codec = match self {
            Self::Pcm | Self::Wav => Codec::PcmS16le,
            Self::Opus => Codec::Opus,
        };
        Format { codec, rate_hz: RATE_HZ, frame_ms: FRAME_MS }
    }
}

#[utoipa::path(
    post, path = "/audio/speech", operation_id = "speak", tag = "openai", summary = "Text to speech, sent while it is spoken",
    request_body(content = Wanted),
    responses(
        (status = 200, description = "The speech", content(
            (inline(Binary) = "audio/wav"), (inline(Binary) = "audio/pcm"), (inline(Binary) = "audio/ogg"), (openapi::Event = "text/event-stream"),
        )),
        Keyed, Worked,
    ),
)]
pub(super) async fn create(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    key_holder(request.extensions(), Scopes::TALK)?;
    let permit = admit(&app)?;
    let wanted: Wanted = json(request).await?;
    let shape = Shape::of(wanted.response_format.as_deref())?;
    let sse = match wanted.stream_format.as_deref() {
        None | Some("audio") => false,
        Some("sse") => true,
        Some(_) => return Err(Problem::value("stream_format", "stream_format is \"audio\" or \"sse\".")),
    };
    let input_chars = wanted.input.chars().count();
    let mut chunks = Box::pin(recite(Arc::clone(&app.engines.tts), &recital(&app, wanted, shape)?));
    // What fails before the first sound is still told by the status.
    let first = match chunks.next().await {
        Some(Ok(chunk)) => Some(chunk),
        Some(Err(Failed(reason))) => return Err(Problem::engine(reason)),
        None => None,
    };
    let chunks = stream::iter(first.map(Ok)).chain(chunks);
    let pieces = Pieces::new(shape)?.over(chunks);
    let body =
        if sse { outgoing::body(events(pieces, input_chars), permit) } else { outgoing::body(plain(pieces), permit) };
    let kind = if sse { "text/event-stream" } else { shape.content_type() };
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], body).into_response())
}

fn recital(app: &App, wanted: Wanted, shape: Shape) -> Result<Recital, Problem> {
    if wanted.input.trim().is_empty() {
        return Err(Problem::value("input", "There are no words in input."));
    }
    if wanted.input.chars().count() > INPUT_CHARS_MAX {
        let message = format!("input has at most {INPUT_CHARS_MAX} characters.");
        return Err(Problem::bad(ErrorObject::invalid("string_above_max_length", message).about("input")));
    }
    let speed = wanted.speed.unwrap_or(1.0);
    if !(0.25..=4.0).contains(&speed) {
        return Err(Problem::value("speed", "speed is between 0.25 and 4."));
    }
    let asked = match wanted.voice {
        Some(Voice::Name(name) | Voice::Object { id: name }) => name,
        None => String::new(),
    };
    let voice = app.voices.engine(&asked).map_or_else(|| Arc::clone(&app.settings.voice), Arc::from);
    let language = Arc::clone(&app.settings.language);
    Ok(Recital { text: wanted.input.into(), voice, language, speed, format: shape.format() })
}

/// The container around the chunks.
struct Pieces {
    shape: Shape,
    ogg: Option<OggOpus>,
}

impl Pieces {
    fn new(shape: Shape) -> Result<Self, Problem> {
        let ogg = match shape {
            // One stream in a file of its own: any number names it.
            Shape::Opus => Some(OggOpus::new(RATE_HZ, FRAME_MS, 1).map_err(|_| Problem::engine("broken"))?),
            Shape::Pcm | Shape::Wav => None,
        };
        Ok(Self { shape, ogg })
    }

    /// The bytes of the file, with the playing time that they complete in milliseconds. A failure breaks the connection off:
    /// the status has long been sent.
    fn over(
        self,
        chunks: impl Stream<Item = Result<AudioChunk, Failed>> + Send,
    ) -> impl Stream<Item = Result<(Bytes, u64), io::Error>> + Send {
        let head = (self.shape == Shape::Wav).then(|| Ok((Bytes::copy_from_slice(&wav::stream_head(RATE_HZ)), 0)));
        let ended = stream::iter([None]);
        let mut ogg = self.ogg;
        let pieces = chunks.map(Some).chain(ended).map(move |chunk| {
            let chunk = chunk.transpose().map_err(io::Error::other)?;
            let ms = chunk.as_ref().map_or(0, |_| u64::from(FRAME_MS));
            let bytes = match (chunk, &mut ogg) {
                (Some(chunk), Some(ogg)) => ogg.push(chunk).map_err(io::Error::other)?,
                (Some(chunk), None) => chunk.payload,
                (None, Some(ogg)) => ogg.finish().map_err(io::Error::other)?,
                (None, None) => Bytes::new(),
            };
            Ok((bytes, ms))
        });
        stream::iter(head).chain(pieces)
    }
}

/// The file as it is.
fn plain(
    pieces: impl Stream<Item = Result<(Bytes, u64), io::Error>> + Send,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send {
    pieces.filter_map(|piece| {
        let bytes = piece.map(|(bytes, _)| bytes);
        futures_util::future::ready(Some(bytes).filter(|bytes| !matches!(bytes, Ok(bytes) if bytes.is_empty())))
    })
}

/// What is streamed as server-sent events.
#[derive(Serialize)]
#[serde(tag = "type")]
enum Told {
    #[serde(rename = "speech.audio.delta")]
    Delta { audio: String },
    #[serde(rename = "speech.audio.done")]
    Done { usage: Usage },
}

/// Tokens in OpenAI's sense: characters of text count as a quarter, audio by its length.
#[derive(Serialize)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
}

fn events(
    pieces: impl Stream<Item = Result<(Bytes, u64), io::Error>> + Send,
    input_chars: usize,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send {
    let ended = stream::iter([None]);
    let mut spoken_ms = 0;
    let mut event = move |piece: Option<Result<(Bytes, u64), io::Error>>| {
        let told = match piece.transpose()? {
            Some((bytes, ms)) => {
                spoken_ms += ms;
                if bytes.is_empty() {
                    return Ok(None);
                }
                Told::Delta { audio: STANDARD.encode(&bytes) }
            }
            None => {
                let (input_tokens, output_tokens) =
                    ((input_chars as u64).div_ceil(4), spoken_ms.div_ceil(OUTPUT_MS_PER_TOKEN));
                Told::Done { usage: Usage { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens } }
            }
        };
        let json = serde_json::to_string(&told).map_err(io::Error::other)?;
        Ok(Some(Bytes::from(format!("data: {json}\n\n"))))
    };
    pieces.map(Some).chain(ended).filter_map(move |piece| futures_util::future::ready(event(piece).transpose()))
}
