//! The directory: which nodes there are.

use serde::{Deserialize, Serialize};

/// One node, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeInfo {
    /// Its name, the same after a restart.
    pub name: String,
    /// Which Floe.
    pub version: String,
    /// Its sessions now.
    pub sessions: usize,
    /// Whether it takes no new ones.
    pub draining: bool,
    /// When it began, in milliseconds since 1970.
    pub since_ms: i64,
}
