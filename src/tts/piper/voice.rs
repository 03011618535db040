//! A voice on disk: an `.onnx` file and, beside it, the `.onnx.json` that says how to use it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use serde::Deserialize;

use super::{graph::Graph, ids, runtime::Chosen};
use crate::engine::{Error, ErrorKind};

/// Longest `.onnx.json` that is read, in bytes; real ones have 5 to 30 kB.
const JSON_BYTES_MAX: u64 = 4 << 20;

/// What every error about a voice's files ends with.
pub(super) const FIX: &str =
    "fetch the voice's .onnx and .onnx.json again (both, from the same place), or set tts.piper.voice to another one";

/// The parts of an `.onnx.json` that matter here; there are more.
#[derive(Debug, Clone, Deserialize)]
struct Description {
    audio: Audio,
    espeak: EspeakVoice,
    #[serde(default)]
    phoneme_type: Option<String>,
    #[serde(default)]
    inference: Inference,
    #[serde(default)]
    language: Option<Language>,
    #[serde(default)]
    num_symbols: Option<i32>,
    #[serde(default = "one")]
    num_speakers: i32,
    #[serde(default)]
    default_speaker_id: i32,
    #[serde(default)]
    speaker_id_map: BTreeMap<String, i32>,
    phoneme_id_map: ids::Map,
    #[serde(default)]
    vowel_clusters: Vec<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Audio {
    sample_rate: u32,
}

#[derive(Debug, Clone, Deserialize)]
struct EspeakVoice {
    voice: String,
}

/// How the voice sounds if nobody says otherwise.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct Inference {
    pub(super) noise_scale: f32,
    pub(super) length_scale: f32,
    pub(super) noise_w: f32,
}

impl Default for Inference {
    /// Piper's own.
    fn default() -> Self {
        Self { noise_scale: 0.667, length_scale: 1.0, noise_w: 0.8 }
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Language {
    code: String,
}

fn one() -> i32 {
    1
}

/// Who makes the phonemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phonemes {
    /// espeak-ng.
    Espeak,
    /// Nobody: the letters themselves.
    Text,
}

/// A voice: described, and loaded when it is first needed.
pub(super) struct Voice {
    /// The file's name without `.onnx`.
    pub(super) name: String,
    /// The graph's file.
    path: PathBuf,
    /// As BCP 47 writes it: `en-US`.
    pub(super) language: String,
    /// Samples per second.
    pub(super) rate_hz: u32,
    /// What espeak-ng calls its language.
    pub(super) espeak_voice: String,
    pub(super) phonemes: Phonemes,
    pub(super) inference: Inference,
    pub(super) ids: ids::Map,
    pub(super) clusters: BTreeSet<Vec<String>>,
    /// How many speakers; at least one.
    pub(super) speakers: i32,
    speaker: i32,
    speaker_names: BTreeMap<String, i32>,
    graph: OnceLock<Graph>,
    /// Held while the graph is loaded, so that two workers do not load it at once.
    loading: Mutex<()>,
}

impl Voice {
    /// Reads the description beside the graph at `path`; the graph itself is only seen to be there. Blocks for a moment.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |what: &dyn Display| wrong(path, what);
        if !fs::metadata(path).map_err(|error| wrong(&error))?.is_file() {
            return Err(wrong(&"it is no file"));
        }
        let beside = PathBuf::from(format!("{}.json", path.display()));
        let mut text = String::new();
        fs::File::open(&beside)
            .and_then(|file| file.take(JSON_BYTES_MAX).read_to_string(&mut text))
            .map_err(|error| wrong(&format_args!("{}: {error}", beside.display())))?;
        let description: Description =
            serde_json::from_str(&text).map_err(|error| wrong(&format_args!("its json: {error}")))?;
        let phonemes = match description.phoneme_type.as_deref() {
            None | Some("espeak") => Phonemes::Espeak,
            Some("text") => Phonemes::Text,
            Some(other) => return Err(wrong(&format_args!("it wants {other:?} phonemes, which Floe cannot make"))),
        };
        description.check().map_err(|what| wrong(&format_args!("its json: {what}")))?;
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let language = description.language.map_or_else(|| description.espeak.voice.clone(), |language| language.code);
        Ok(Self {
            name,
            path: path.to_owned(),
            language: language.replace('_', "-"),
            rate_hz: description.audio.sample_rate,
            espeak_voice: description.espeak.voice,
            phonemes,
            inference: description.inference,
            ids: description.phoneme_id_map,
            clusters: description.vowel_clusters.into_iter().filter(|cluster| cluster.len() > 1).collect(),
            speakers: description.num_speakers.max(1),
            speaker: description.default_speaker_id,
            speaker_names: description.speaker_id_map,
            graph: OnceLock::new(),
            loading: Mutex::new(()),
        })
    }

    /// The voices in `folder` but for some, by name, and what is wrong with those that cannot be used. Blocks for a moment.
    pub(super) fn installed(folder: &Path, kept_out: &[PathBuf]) -> (Vec<Self>, Vec<Error>) {
        let mut paths: Vec<PathBuf> = match fs::read_dir(folder) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
            Err(_) => Vec::new(),
        };
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "onnx") && !kept_out.contains(path));
        paths.sort();
        let (mut voices, mut wrong) = (Vec::new(), Vec::new());
        for path in paths {
            match Self::read(&path) {
                Ok(voice) => voices.push(voice),
                Err(error) => wrong.push(error),
            }
        }
        (voices, wrong)
    }

    /// The number of a speaker, by its name in the description or as a number; the voice's own choice if `speaker` is empty.
    pub(super) fn speaker(&self, speaker: &str) -> Result<i32, Error> {
        let numbered = || speaker.parse().ok().filter(|number| (0..self.speakers).contains(number));
        match self.speaker_names.get(speaker) {
            _ if speaker.is_empty() => Ok(self.speaker),
            Some(number) => Ok(*number),
            None => numbered().ok_or_else(|| {
                let message = format!(
                    "the Piper voice {} has no such speaker; give a number from 0 to {} or a name of its json",
                    self.name,
                    self.speakers - 1
                );
                Error::new(ErrorKind::Rejected, message)
            }),
        }
    }

    /// Whether it speaks `tag`: the same primary language.
    pub(super) fn speaks(&self, tag: &str) -> bool {
        primary(&self.language).eq_ignore_ascii_case(primary(tag))
    }

    /// The graph; loaded now for `runtime` (the engine's only one) if it has not been. Blocks for a fraction of a second then: for workers, not for tasks.
    pub(super) fn graph(&self, runtime: &Chosen) -> Result<&Graph, Error> {
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(graph) = self.graph.get() {
            return Ok(graph);
        }
        let graph = Graph::load(&self.path, self.speakers > 1, runtime).map_err(|what| self.wrong(&what))?;
        Ok(self.graph.get_or_init(|| graph))
    }

    /// An error about this voice.
    pub(super) fn wrong(&self, what: &dyn Display) -> Error {
        wrong(&self.path, what)
    }
}

impl Description {
    /// What is impossible, in words.
    fn check(&self) -> Result<(), String> {
        if !(8_000..=48_000).contains(&self.audio.sample_rate) {
            return Err(format!("audio.sample_rate is {}; 8000 to 48000 are possible", self.audio.sample_rate));
        }
        let name = &self.espeak.voice;
        if !crate::tts::espeak::is_voice_name(name) {
            return Err("espeak.voice is no name of a voice".into());
        }
        for sign in [ids::BEGIN, ids::PAD, ids::END] {
            if self.phoneme_id_map.get(sign).is_none_or(Vec::is_empty) {
                return Err(format!("phoneme_id_map has no {sign:?}"));
            }
        }
        let symbols = self.num_symbols.unwrap_or(i32::MAX);
        if let Some(id) = self.phoneme_id_map.values().flatten().find(|id| !(0..symbols).contains(*id)) {
            return Err(format!("phoneme_id_map has the id {id}, but num_symbols is {symbols}"));
        }
        let speakers = self.num_speakers.max(1);
        let mut speakers_used = self.speaker_id_map.values().chain([&self.default_speaker_id]);
        if let Some(id) = speakers_used.find(|id| !(0..speakers).contains(*id)) {
            return Err(format!("it has a speaker {id}, but num_speakers is {}", self.num_speakers));
        }
        let Inference { noise_scale, length_scale, noise_w } = self.inference;
        if ![noise_scale, noise_w].iter().all(|scale| (0.0..=4.0).contains(scale))
            || !(0.1..=10.0).contains(&length_scale)
        {
            return Err("inference has impossible scales".into());
        }
        Ok(())
    }
}

fn wrong(path: &Path, what: &dyn Display) -> Error {
    Error::new(ErrorKind::Rejected, format_args!("Piper voice {}: {what}; {FIX}", path.display()))
}

/// `en` of `en-US`.
pub(super) fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or_default()
}
