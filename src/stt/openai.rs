//! Transcription by any server with OpenAI's API: the utterance goes out as a WAV file, the words come back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Error, Feed, Options, SpeechToText, Update, utterance::Utterance};
use crate::{
    audio::{AudioPos, RATE_HZ},
    engine::{
        ErrorKind,
        remote::{self, Remote, kind_of_status},
    },
};

/// Less audio than this cannot hold a word, and the API refuses it: 100 ms.
const MIN_SAMPLES: usize = RATE_HZ as usize / 10;

/// Longest answer that is read: a thousand times what anybody says in ten minutes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Wait before the second and last try.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Settings of the `openai` engine.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the server is, and its key.
    pub remote: remote::Config,
    /// Name of the model there.
    pub model: String,
    /// Longest wait for one transcript, the retry included, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { remote: remote::Config::default(), model: "gpt-4o-mini-transcribe".into(), timeout_ms: 12_000 }
    }
}

/// For the table of engines.
pub(super) fn engine(config: &super::Config) -> Result<Arc<dyn SpeechToText>, Error> {
    Ok(Arc::new(OpenAi::new(&config.openai)?))
}

/// An engine behind `POST /audio/transcriptions`. One request per final; it makes no partials, and its confidence is always 1:
/// the API does not tell.
#[derive(Debug, Clone)]
pub struct OpenAi {
    remote: Remote,
    model: Arc<str>,
    timeout: Duration,
}

impl OpenAi {
    /// Connects to nothing yet. Fails if the TLS set-up does.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            remote: Remote::new(&config.remote)?,
            model: config.model.as_str().into(),
            timeout: Duration::from_millis(config.timeout_ms),
        })
    }

    /// The words in these samples: one request, and a second one if the failure of the first may pass.
    async fn ask(&self, wav: Bytes, language: &str) -> Result<String, Error> {
        let tries = async {
            match self.try_once(wav.clone(), language).await {
                Err(error) if error.kind.is_retryable() => {
                    tracing::debug!(kind = error.kind.as_str(), "transcription failed, one more try");
                    tokio::time::sleep(RETRY_AFTER).await;
                    self.try_once(wav, language).await
                }
                result => result,
            }
        };
        tokio::time::timeout(self.timeout, tries)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "no transcript in time")))
    }

    async fn try_once(&self, wav: Bytes, language: &str) -> Result<String, Error> {
        let length = u64::try_from(wav.len()).unwrap_or(u64::MAX);
        let file = reqwest::multipart::Part::stream_with_length(wav, length)
            .file_name("utterance.wav")
            .mime_str("audio/wav")?;
        let mut form = reqwest::multipart::Form::new()
            .part("file", file)
            .text("model", self.model.to_string())
            .text("response_format", "json")
            .text("temperature", "0");
        // The API wants ISO 639-1, so `en-GB` goes as `en`.
        if let Some(primary) = language.split(['-', '_']).next().filter(|it| !it.is_empty()) {
            form = form.text("language", primary.to_ascii_lowercase());
        }
        let mut response = self.remote.post("audio/transcriptions").multipart(form).send().await?;
        let status = response.status().as_u16();
        if !response.status().is_success() {
            // The body stays out of the message: servers like to quote what they were sent.
            return Err(Error::new(kind_of_status(status), format!("the transcription server answered {status}")));
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > MAX_ANSWER_BYTES {
                return Err(Error::new(ErrorKind::Broken, "the transcription server's answer is too long"));
            }
            body.extend_from_slice(&piece);
        }
        #[derive(Deserialize)]
        struct Answer {
            text: String,
        }
        match serde_json::from_slice::<Answer>(&body) {
            Ok(answer) => Ok(answer.text.trim().to_owned()),
            Err(_) => Err(Error::new(ErrorKind::Broken, "the transcription server's answer is not the expected JSON")),
        }
    }

    async fn finish(&self, utterance: &Utterance, at: AudioPos, language: &Arc<str>) -> Result<Update, Error> {
        let samples = utterance.up_to(at);
        let text = if samples.len() < MIN_SAMPLES { String::new() } else { self.ask(wav(samples), language).await? };
        let confidence = if text.is_empty() { 0.0 } else { 1.0 };
        Ok(Update::Final { at, text: text.into(), language: Arc::clone(language), confidence })
    }
}

impl SpeechToText for OpenAi {
    fn transcribe(&self, feed: mpsc::Receiver<Feed>, options: Options) -> BoxStream<'static, Result<Update, Error>> {
        let state = (self.clone(), feed, Utterance::default(), options.language, true);
        stream::unfold(state, |(engine, mut feed, mut utterance, language, open)| async move {
            if !open {
                return None;
            }
            let result = match utterance.listen(&mut feed).await {
                Ok(Some(at)) => engine.finish(&utterance, at, &language).await,
                Ok(None) => return None,
                Err(error) => Err(error),
            };
            let open = result.is_ok();
            Some((result, (engine, feed, utterance, language, open)))
        })
        .boxed()
    }
}

/// A WAV file: 16 kHz, mono, 16 bit.
fn wav(samples: &[f32]) -> Bytes {
    let data_bytes = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX);
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&data_bytes.saturating_add(36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    file.extend_from_slice(&1u16.to_le_bytes()); // integer samples
    file.extend_from_slice(&1u16.to_le_bytes()); // channels
    file.extend_from_slice(&RATE_HZ.to_le_bytes());
    file.extend_from_slice(&(RATE_HZ * 2).to_le_bytes()); // bytes per second
    file.extend_from_slice(&2u16.to_le_bytes()); // bytes per sample
    file.extend_from_slice(&16u16.to_le_bytes()); // bits per sample
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data_bytes.to_le_bytes());
    for sample in samples {
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of 16 bits")]
        let value = (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16;
        file.extend_from_slice(&value.to_le_bytes());
    }
    file.into()
}
