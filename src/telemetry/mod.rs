//! Logs and metrics. Nothing a user says ever reaches either.

use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

pub mod metrics;

/// Logging.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `human` or `json`.
    pub log_format: LogFormat,
    /// What is logged, as tracing's filter directives.
    pub log: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { log_format: LogFormat::Human, log: "info".into() }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For eyes.
    Human,
    /// For programs, one object per line.
    Json,
}

/// The filter in the configuration is no filter.
#[derive(Debug, thiserror::Error)]
#[error("telemetry.log = {0:?} is not a filter; try \"info\" or \"info,floe=debug\"")]
pub struct BadFilter(String);

/// Starts logging to standard error. Called once, by `main`.
pub fn start(config: &Config) -> Result<(), BadFilter> {
    // whisper.cpp reports every aborted job as an error; async-openai logs what it cannot parse, words and all.
    let quiet = format!("{},{QUIET}", config.log);
    let filter = EnvFilter::try_new(quiet).map_err(|_| BadFilter(config.log.clone()))?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let started = match config.log_format {
        LogFormat::Human => registry.with(layer.with_target(false)).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    };
    // Already started: a test, or `floe replay` with its own server inside.
    let _again = started;
    Ok(())
}

/// Libraries that say too much, or what is nobody's business.
const QUIET: &str = "whisper_rs=off,async_openai=off,symphonia=off,hyper=warn,h2=warn,rustls=warn,reqwest=warn";
