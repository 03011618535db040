//! Model files: which there are, where to get them, whether a file is what it claims to be, and which of them to use.
//!
//! The manifest (`models/manifest.toml`, compiled in) names every file with its hash. A [`Shelf`] is the folder that holds
//! them, with what was found out about its files; [`fetch`] and [`import`] fill it, [`choose`] takes from it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub mod choose;
pub mod command;
pub mod error;
pub mod fetch;
pub mod ggml;
pub mod hash;
pub mod import;
mod list;
pub mod manifest;
mod part;
pub mod progress;
mod records;
pub mod shelf;
pub mod speed;
pub mod verify;
pub mod widen;

pub use error::Error;
pub use manifest::Manifest;
pub use shelf::Shelf;

/// Where models are kept, and where they come from.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of the model files.
    pub folder: PathBuf,
    /// A mirror that `floe models fetch` asks instead of the files' own servers, as `URL/FILE-NAME`; empty = their own servers.
    pub url: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { folder: "models".into(), url: String::new() }
    }
}
