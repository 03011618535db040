//! `POST /v1/audio/transcriptions`: a file through the same ears as a live conversation.

use std::convert::Infallible;

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;

use super::{Problem, admit, key_holder, subtitles, upload};
use crate::{
    audio::{AudioPos, container::Limits},
    auth::Scopes,
    http::{
        App,
        openapi::{self, Keyed, Worked},
    },
    protocol::openai::{ErrorObject, error_body, wire::server::DurationUsage},
    transcribe::{self, Options, Update, Utterance},
};

/// How the words are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Json,
    Text,
    Srt,
    Vtt,
    Verbose,
}

/// `json`.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Transcription)]
struct Words {
    text: String,
    usage: DurationUsage,
}

/// `verbose_json`.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = VerboseTranscription)]
struct Verbose {
    task: &'static str,
    language: String,
    duration: f64,
    text: String,
    segments: Vec<Segment>,
    usage: DurationUsage,
}

/// One utterance. The typed clients demand every field of Whisper's own segments.
#[derive(Serialize, utoipa::ToSchema)]
struct Segment {
    id: usize,
    seek: u64,
    start: f64,
    end: f64,
    text: String,
    /// Empty: token ids never leave the recogniser.
    #[schema(value_type = Vec<u32>)]
    tokens: [u32; 0],
    /// Recognition is greedy.
    temperature: f32,
    /// The logarithm of the recogniser's confidence.
    avg_logprob: f64,
    /// Words for each distinct one, which tells a recogniser that repeats itself as the ratio of sizes does.
    compression_ratio: f64,
    /// What was no speech is no segment.
    no_speech_prob: f32,
}

/// What is streamed.
#[derive(Serialize)]
#[serde(tag = "type")]
enum Told {
    #[serde(rename = "transcript.text.delta")]
    Delta { delta: String },
    #[serde(rename = "transcript.text.done")]
    Done { text: String, usage: DurationUsage },
}

/// One of the shapes of JSON.
#[derive(utoipa::ToSchema)]
#[schema(as = TranscriptionJson)]
#[serde(untagged)]
#[expect(dead_code, reason = "answered as one of them; this is the description of both")]
enum Either {
    Verbose(Verbose),
    Words(Words),
}

/// A form with a file in it.
#[derive(utoipa::ToSchema)]
#[schema(as = TranscriptionForm)]
#[expect(dead_code, reason = "read piece by piece; this is its description")]
struct Form {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Anything.
    model: Option<String>,
    /// As a BCP 47 tag.
    language: Option<String>,
    /// json (default), text, srt, vtt or verbose_json.
    response_format: Option<String>,
    /// With json or text: server-sent events.
    stream: Option<bool>,
    /// Without effect.
    #[schema(minimum = 0, maximum = 1)]
    temperature: Option<f32>,
}

#[utoipa::path(
    post, path = "/audio/transcriptions", operation_id = "transcribe", tag = "openai", summary = "A file to text",
    request_body(content = Form, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The words", content(
            (Either = "application/json"), (String = "text/plain"), (String = "application/x-subrip"), (String = "text/vtt"),
            (openapi::Event = "text/event-stream"),
        )),
        Keyed, Worked,
    ),
)]
pub(super) async fn create(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    key_holder(request.extensions(), Scopes::TALK)?;
    let permit = admit(&app)?;
    let form = upload::read(&app, request).await?;
    let shape = shape(&form)?;
    let options = Options {
        language: form.language.as_deref().map(Into::into),
        limits: Limits { duration_ms_max: app.openai.upload_audio_s_max.saturating_mul(1_000) },
    };
    let mut updates = Box::pin(transcribe::file(form.file, &app.engines, &app.settings, options));
    if form.stream {
        // What is no audio at all is still told by the status: the first update decides.
        let first = next(&mut updates).await.map_err(problem)?;
        let told = told(first, updates).map(move |event| {
            let _until_the_end = &permit;
            Ok::<_, Infallible>(event)
        });
        return Ok(Sse::new(told).into_response());
    }
    let mut utterances = Vec::new();
    loop {
        match next(&mut updates).await.map_err(problem)? {
            Some(Update::Utterance(utterance)) => utterances.push(utterance),
            Some(Update::Finished(length)) => return Ok(answer(shape, &utterances, length)),
            Some(Update::Progress(_)) => {}
            None => return Err(Problem::engine("broken")),
        }
    }
}

type Updates<S> = std::pin::Pin<Box<S>>;

async fn next<S>(updates: &mut Updates<S>) -> Result<Option<Update>, transcribe::Error>
where
    S: Stream<Item = Result<Update, transcribe::Error>>,
{
    updates.next().await.transpose()
}

fn shape(form: &upload::Form) -> Result<Shape, Problem> {
    let shape = match form.response_format.as_deref() {
        None | Some("json" | "") => Shape::Json,
        Some("text") => Shape::Text,
        Some("srt") => Shape::Srt,
        Some("vtt") => Shape::Vtt,
        Some("verbose_json") => Shape::Verbose,
        Some(other) => {
            let message =
                format!("response_format {other:?} is not made here; there are json, text, srt, vtt and verbose_json.");
            return Err(Problem::value("response_format", message));
        }
    };
    if form.stream && !matches!(shape, Shape::Json | Shape::Text) {
        return Err(Problem::value("stream", "Only json and text are streamed."));
    }
    for granularity in &form.granularities {
        match granularity.as_str() {
            "segment" if shape == Shape::Verbose => {}
            "word" => {
                let message = "The recogniser gives no times for single words; ask for \"segment\".";
                return Err(Problem::value("timestamp_granularities", message));
            }
            "segment" => {
                let message = "Times come with response_format verbose_json, srt and vtt.";
                return Err(Problem::value("timestamp_granularities", message));
            }
            other => {
                let message = format!("There is no granularity {other:?}; there is \"segment\".");
                return Err(Problem::value("timestamp_granularities", message));
            }
        }
    }
    Ok(shape)
}

fn answer(shape: Shape, utterances: &[Utterance], length: AudioPos) -> Response {
    let plain = |kind: &'static str, text: String| ([(header::CONTENT_TYPE, kind)], text).into_response();
    let text = joined(utterances);
    match shape {
        Shape::Json => Json(Words { text, usage: usage(length) }).into_response(),
        Shape::Text => plain("text/plain; charset=utf-8", text + "\n"),
        Shape::Srt => plain("application/x-subrip; charset=utf-8", subtitles::srt(utterances)),
        Shape::Vtt => plain("text/vtt; charset=utf-8", subtitles::vtt(utterances)),
        Shape::Verbose => Json(Verbose {
            task: "transcribe",
            language: utterances.first().map(|utterance| utterance.language.to_string()).unwrap_or_default(),
            duration: seconds(length),
            text,
            segments: utterances.iter().enumerate().map(segment).collect(),
            usage: usage(length),
        })
        .into_response(),
    }
}

fn segment((id, utterance): (usize, &Utterance)) -> Segment {
    let words: Vec<&str> = utterance.text.split_whitespace().collect();
    let distinct: std::collections::HashSet<&str> = words.iter().copied().collect();
    Segment {
        id,
        // In Whisper's unit: hundredths of a second.
        seek: utterance.start.as_ms() / 10,
        start: seconds(utterance.start),
        end: seconds(utterance.end),
        text: utterance.text.to_string(),
        tokens: [],
        temperature: 0.0,
        avg_logprob: f64::from(utterance.confidence.clamp(1e-6, 1.0)).ln(),
        compression_ratio: words.len() as f64 / distinct.len().max(1) as f64,
        no_speech_prob: 0.0,
    }
}

/// Server-sent events: the words of each utterance as they are found, then all of them.
fn told<S>(first: Option<Update>, updates: Updates<S>) -> impl Stream<Item = Event> + Send + use<S>
where
    S: Stream<Item = Result<Update, transcribe::Error>> + Send,
{
    let all = stream::iter(first.map(Ok)).chain(updates);
    all.scan(String::new(), |text, update| {
        let event = match update {
            Ok(Update::Progress(_)) => None,
            Ok(Update::Utterance(utterance)) => {
                let delta = if text.is_empty() { utterance.text.to_string() } else { format!(" {}", utterance.text) };
                text.push_str(&delta);
                Some(event(&Told::Delta { delta }))
            }
            Ok(Update::Finished(length)) => {
                Some(event(&Told::Done { text: std::mem::take(text), usage: usage(length) }))
            }
            Err(error) => Some(event(&error_body(*problem(error).error))),
        };
        futures_util::future::ready(Some(event))
    })
    .filter_map(futures_util::future::ready)
}

fn event(told: &impl Serialize) -> Event {
    Event::default().json_data(told).unwrap_or_default()
}

fn joined(utterances: &[Utterance]) -> String {
    utterances.iter().map(|utterance| &*utterance.text).collect::<Vec<_>>().join(" ")
}

fn usage(length: AudioPos) -> DurationUsage {
    DurationUsage { kind: "duration", seconds: seconds(length) }
}

fn seconds(at: AudioPos) -> f64 {
    at.as_ms() as f64 / 1_000.0
}

/// What the client is told of a file that cannot be transcribed.
fn problem(error: transcribe::Error) -> Problem {
    use crate::audio::Error as Audio;
    let error = match error {
        transcribe::Error::Recognition(reason) => return Problem::engine(reason),
        transcribe::Error::Audio(error) => error,
    };
    let about = |error: &Audio| ErrorObject::invalid(error.code(), format!("{error}.")).about("file");
    match &error {
        Audio::FileTooLong { .. } => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, about(&error)),
        Audio::CodecUnsupported { .. } | Audio::NoTrack => {
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, about(&error))
        }
        Audio::Broken { .. } => Problem::engine("broken"),
        _ => Problem::bad(about(&error)),
    }
}
