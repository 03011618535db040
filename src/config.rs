//! Configuration: defaults < file (TOML) < environment (`FLOE_…`) < flags. Every key is known beforehand, with its
//! default, type and sentence, from the structs of the modules themselves.

use std::{collections::BTreeMap, path::Path};

use figment::{
    Figment,
    providers::{Format as _, Serialized, Toml},
    value::{Dict, Map, Value},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::models;

/// Everything that can be set.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The listener.
    pub server: crate::http::Config,
    /// Who may come in.
    pub auth: crate::auth::Config,
    /// Conversations.
    pub session: crate::session::config::Config,
    /// Voice activity.
    pub vad: crate::vad::Config,
    /// Model files.
    pub models: crate::models::Config,
    /// Speech to text.
    pub stt: crate::stt::Config,
    /// The agent.
    pub agent: crate::agent::Config,
    /// Text to speech.
    pub tts: crate::tts::Config,
    /// Where conversations are kept.
    pub store: crate::store::Config,
    /// What several servers share.
    pub redis: crate::store::shared::Config,
    /// Background work.
    pub jobs: crate::jobs::Config,
    /// What may be reached that others have named.
    pub reach: crate::reach::Config,
    /// How long things are kept.
    pub privacy: crate::jobs::Privacy,
    /// Logs.
    pub telemetry: crate::telemetry::Config,
}

impl Config {
    /// The settings of the voice, with the folder of the models filled in and voices kept out for which nobody vouches.
    /// Blocks: a new file is read once. Fails if the named voice is such a one.
    pub fn voice(&self) -> Result<crate::tts::Config, models::Error> {
        let mut tts = self.tts.clone();
        let shelf = models::Shelf::configured(&self.models)?;
        if tts.piper.folder.is_empty() {
            tts.piper.folder = self.models.folder.display().to_string();
        }
        let may_speak = matches!(tts.engine, crate::tts::Engine::Auto | crate::tts::Engine::Piper);
        if !may_speak || tts.piper.trust_voice {
            return Ok(tts);
        }
        if !tts.piper.voice.is_empty() && Path::new(&tts.piper.voice).is_file() {
            models::choose::vouch_for_voice(&shelf, Path::new(&tts.piper.voice))?;
        }
        for (path, error) in models::choose::strange_voices(&shelf, Path::new(&tts.piper.folder)) {
            tracing::warn!(%error, "a voice is not used");
            tts.piper.kept_out.push(path);
        }
        Ok(tts)
    }

    /// The BCP 47 tag of the language that the speech model must know.
    pub fn speech_language(&self) -> &str {
        if self.session.language.is_empty() { &self.stt.whisper.language } else { &self.session.language }
    }
}

/// One thing that can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name in the file, with dots: `stt.model`.
    pub name: String,
    /// Its default, as TOML would write it; a secret's is empty.
    pub default: String,
    /// What it is, in one sentence or two.
    pub doc: String,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Whether its value is a text, so that `12` stays a text.
    text: bool,
}

impl Key {
    /// Its name in the environment: `FLOE_STT_MODEL`.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase().replace('.', "_"))
    }
}

/// A setting is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is no such key.
    #[error("{place}: there is no setting {name:?}{}", suggestion(.near))]
    Unknown {
        /// Where it stands.
        place: &'static str,
        /// What was written.
        name: String,
        /// What may have been meant.
        near: Option<String>,
    },
    /// A flag is not `key=value`.
    #[error("--set wants key=value, such as --set stt.workers=2; {0:?} has no \"=\"")]
    NoValue(String),
    /// The file is no TOML.
    #[error("the file is not TOML: {0}")]
    Syntax(Box<figment::Error>),
    /// A value does not fit.
    #[error("{name}: {kind}{}", origin(.place))]
    Value {
        /// Which key.
        name: String,
        /// What is wrong with it.
        kind: Box<figment::error::Kind>,
        /// Where it was set.
        place: Option<&'static str>,
    },
}

fn origin(place: &Option<&'static str>) -> String {
    place.map(|place| format!(" (set by {place})")).unwrap_or_default()
}

fn suggestion(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
}

/// The configuration, and where each value that is not a default came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// What was set, by key: the value as TOML would write it (secrets hidden), and where.
    pub set: BTreeMap<String, (String, &'static str)>,
}

/// Reads everything. `environment` and `flags` are handed in, so that tests need no process state.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[String],
) -> Result<Loaded, Error> {
    let keys = keys();
    let mut values: BTreeMap<String, (Value, &'static str)> = BTreeMap::new();
    if let Some(path) = file {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::File { path: path.display().to_string(), source })?;
        let tree: Dict =
            Figment::from(Toml::string(&text)).extract().map_err(|error| Error::Syntax(Box::new(error)))?;
        for (name, value) in flatten(&tree, &keys) {
            known(&keys, &name, "file", |key| key.name.clone())?;
            values.insert(name, (value, "file"));
        }
    }
    let mut ours = Vec::new();
    for (name, text) in environment {
        if let Some((_, whole)) = ALIASES.iter().find(|(short, _)| *short == name) {
            ours.push(((*whole).to_owned(), text));
        } else if let Some(suffix) = SHORTCUTS.iter().find(|(variable, _)| *variable == name).map(|(_, suffix)| *suffix)
        {
            for key in keys.iter().filter(|key| key.name.ends_with(suffix)) {
                values.entry(key.name.clone()).or_insert((key.parse(&text), "environment"));
            }
        } else if name.starts_with(PREFIX) && !TOOLS.contains(&name.as_str()) {
            ours.push((name, text));
        }
    }
    for (name, text) in ours {
        let key = known(&keys, &name, "environment", Key::variable)?;
        values.insert(key.name.clone(), (key.parse(&text), "environment"));
    }
    for flag in flags {
        let (name, text) = flag.split_once('=').ok_or_else(|| Error::NoValue(flag.clone()))?;
        let key = known(&keys, name.trim(), "--set", |key| key.name.clone())?;
        values.insert(key.name.clone(), (key.parse(text), "flag"));
    }
    extract(&keys, values)
}

fn extract(keys: &[Key], values: BTreeMap<String, (Value, &'static str)>) -> Result<Loaded, Error> {
    let mut figment = Figment::new();
    let mut set = BTreeMap::new();
    for (name, (value, place)) in values {
        let secret = keys.iter().any(|key| key.name == name && key.secret);
        let shown = if secret { "(hidden)".to_owned() } else { shown(&value) };
        set.insert(name.clone(), (shown, place));
        figment = figment.merge(Serialized::default(&name, value));
    }
    let config = figment.extract().map_err(|error| {
        let name = error.path.join(".");
        let place = set.get(&name).map(|(_, place)| *place);
        Error::Value { name, kind: Box::new(error.kind), place }
    })?;
    Ok(Loaded { config, set })
}

/// Every key, in the order of the structs.
pub fn keys() -> Vec<Key> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<Config>();
    let mut keys = Vec::new();
    collect(&mut keys, "", schema.as_value());
    keys
}

fn collect(keys: &mut Vec<Key>, prefix: &str, schema: &Json) {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return };
    for (name, property) in properties {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if property.get("properties").is_some() {
            collect(keys, &name, property);
            continue;
        }
        let doc = property.get("description").and_then(Json::as_str).unwrap_or_default();
        let default = property.get("default").filter(|value| !value.is_null()).map(Json::to_string);
        let is = |kind: &str| {
            property
                .get("type")
                .is_some_and(|is| is == kind || is.as_array().is_some_and(|any| any.iter().any(|one| one == kind)))
        };
        keys.push(Key {
            name,
            default: default.unwrap_or_default(),
            doc: doc.split_whitespace().collect::<Vec<_>>().join(" "),
            secret: property.get("writeOnly").is_some_and(|yes| yes == true),
            text: is("string") || property.get("enum").is_some() || property.get("oneOf").is_some(),
        });
    }
}

impl Key {
    fn parse(&self, text: &str) -> Value {
        // Figment's own reading of environment variables: numbers, booleans, lists; anything else is a text.
        if self.text {
            Value::from(text)
        } else {
            text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {})
        }
    }
}

fn known<'a>(
    keys: &'a [Key],
    name: &str,
    place: &'static str,
    called: impl Fn(&Key) -> String,
) -> Result<&'a Key, Error> {
    if let Some(key) = keys.iter().find(|key| called(key) == name) {
        return Ok(key);
    }
    let near = keys
        .iter()
        .map(&called)
        .map(|candidate| (strsim::jaro_winkler(name, &candidate), candidate))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .filter(|(similarity, _)| *similarity > 0.8)
        .map(|(_, candidate)| candidate);
    Err(Error::Unknown { place, name: name.to_owned(), near })
}

/// The leaves of a file, by dotted name. A table that is itself a key's value stays whole.
fn flatten(tree: &Dict, keys: &[Key]) -> Vec<(String, Value)> {
    fn walk(prefix: &str, tree: &Map<String, Value>, keys: &[Key], out: &mut Vec<(String, Value)>) {
        for (name, value) in tree {
            let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match value {
                Value::Dict(_, inner) if !keys.iter().any(|key| key.name == name) => walk(&name, inner, keys, out),
                _ => out.push((name, value.clone())),
            }
        }
    }
    let mut out = Vec::new();
    walk("", tree, keys, &mut out);
    out
}

fn shown(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// What our variables begin with.
const PREFIX: &str = "FLOE_";

/// Variables of the Makefile that are no settings.
const TOOLS: &[&str] = &["FLOE_CONFIG", "FLOE_MODEL"];

/// Short names of ours.
const ALIASES: &[(&str, &str)] = &[("FLOE_AUTH", "FLOE_AUTH_MODE")];

/// What every OpenAI client reads: applies to all remote engines that are not set by themselves.
const SHORTCUTS: &[(&str, &str)] = &[
    ("OPENAI_API_KEY", ".api_key"),
    ("OPENAI_BASE_URL", ".base_url"),
    ("DATABASE_URL", "store.url"),
    ("REDIS_URL", "redis.url"),
];
