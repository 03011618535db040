//! The state of a live conversation, as one node leaves it for another.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ids::{ConversationId, SessionId},
    store::record::ItemRow,
};

/// The number of the format. A reader that meets another one knows nothing, and asks SQL. It goes up when an older reader would
/// misunderstand what is written; new fields alone do not need that, because readers keep what they do not know.
pub const FORMAT: u32 = 1;

/// Items in one state; older ones are in SQL alone.
pub const ITEMS_MAX: usize = 200;

/// Everything that is needed to go on with a conversation elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Which session.
    pub session: SessionId,
    /// Which conversation.
    pub conversation: ConversationId,
    /// The epoch of whoever wrote this.
    pub epoch: i64,
    /// The newest record that is in this: [`crate::store::Scribe::put`] numbers them.
    pub revision: i64,
    /// The node that wrote it.
    pub node: String,
    /// Whose conversation it is.
    pub tenant: String,
    /// Who answers.
    pub agent: String,
    /// Its language, as a BCP 47 tag; empty = not known.
    pub language: String,
    /// Its items in order, the newest last.
    pub items: Vec<ItemRow>,
    /// How many older ones were left out.
    pub items_left_out: usize,
    /// When it was written, in milliseconds since 1970.
    pub at_ms: i64,
    /// What else belongs to it; also whatever a newer version has put there.
    pub more: Map<String, Value>,
}

/// The same on its way: ids as text, and fields that a version does not know stay.
#[derive(Serialize, Deserialize)]
struct Wire {
    format: u32,
    session: String,
    conversation: String,
    epoch: i64,
    revision: i64,
    #[serde(default)]
    node: String,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    agent: String,
    #[serde(default)]
    language: String,
    #[serde(default)]
    items: Vec<ItemRow>,
    #[serde(default)]
    items_left_out: usize,
    #[serde(default)]
    at_ms: i64,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Snapshot {
    /// Leaves out what is too much anyway, so that nobody holds it in memory.
    pub(super) fn trim(&mut self) {
        let too_many = self.items.len().saturating_sub(ITEMS_MAX);
        self.items.drain(..too_many);
        self.items_left_out += too_many;
    }

    /// As bytes, at most `bytes_max`: the oldest items are left out until it fits. None if it does not fit without any item.
    pub fn encode(&self, bytes_max: usize) -> Option<Vec<u8>> {
        let mut room = bytes_max.checked_sub(serde_json::to_vec(&self.wire(&[])).ok()?.len())?;
        let fitting = self.items.iter().rev().take(ITEMS_MAX).take_while(|item| {
            let bytes = serde_json::to_vec(item).map_or(usize::MAX, |json| json.len().saturating_add(1));
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        });
        let kept = self.items.get(self.items.len() - fitting.count()..).unwrap_or_default();
        // The number of those left out may have grown by some digits: it was counted as all of them.
        serde_json::to_vec(&self.wire(kept)).ok().filter(|bytes| bytes.len() <= bytes_max)
    }

    /// What bytes say; None if they are of another format, or broken.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(bytes).ok()?;
        if format != FORMAT {
            return None;
        }
        let wire: Wire = serde_json::from_slice(bytes).ok()?;
        Some(Self {
            session: wire.session.parse().ok()?,
            conversation: wire.conversation.parse().ok()?,
            epoch: wire.epoch,
            revision: wire.revision,
            node: wire.node,
            tenant: wire.tenant,
            agent: wire.agent,
            language: wire.language,
            items: wire.items,
            items_left_out: wire.items_left_out,
            at_ms: wire.at_ms,
            more: wire.more,
        })
    }

    fn wire(&self, items: &[ItemRow]) -> Wire {
        Wire {
            format: FORMAT,
            session: self.session.to_string(),
            conversation: self.conversation.to_string(),
            epoch: self.epoch,
            revision: self.revision,
            node: self.node.clone(),
            tenant: self.tenant.clone(),
            agent: self.agent.clone(),
            language: self.language.clone(),
            items: items.to_vec(),
            items_left_out: self.items_left_out + self.items.len() - items.len(),
            at_ms: self.at_ms,
            more: self.more.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot(items: i64) -> Snapshot {
        let item = |item| ItemRow { item, role: "user".into(), text: format!("words {item}"), ..ItemRow::default() };
        Snapshot {
            session: SessionId::new(),
            conversation: ConversationId::new(),
            epoch: 3,
            revision: 41,
            node: "one".into(),
            tenant: "default".into(),
            agent: "default".into(),
            language: "en".into(),
            items: (1..=items).map(item).collect(),
            items_left_out: 0,
            at_ms: 1_700_000_000_000,
            more: Map::new(),
        }
    }

    #[test]
    fn it_comes_back_as_it_was() {
        let snapshot = snapshot(3);
        assert_eq!(Snapshot::decode(&snapshot.encode(64 * 1024).unwrap()), Some(snapshot));
    }

    #[test]
    fn what_does_not_fit_are_the_oldest_items() {
        let snapshot = snapshot(500);
        let whole = Snapshot::decode(&snapshot.encode(1 << 20).unwrap()).unwrap();
        assert_eq!((whole.items.len(), whole.items_left_out), (ITEMS_MAX, 300));
        assert_eq!(whole.items.last(), snapshot.items.last());
        let mut trimmed = snapshot.clone();
        trimmed.trim();
        assert_eq!((trimmed.items.len(), trimmed.items_left_out), (ITEMS_MAX, 300));
        assert_eq!(Snapshot::decode(&trimmed.encode(1 << 20).unwrap()), Some(whole));
        let bytes = snapshot.encode(4_000).unwrap();
        assert!(bytes.len() <= 4_000);
        let small = Snapshot::decode(&bytes).unwrap();
        assert_eq!(small.items.len() + small.items_left_out, 500);
        assert_eq!(small.items.last(), snapshot.items.last());
        assert!(small.items.len() > 5, "only {} items fit", small.items.len());
        assert_eq!(snapshot.encode(50), None);
    }

    #[test]
    fn other_formats_are_nothing_and_new_fields_stay() {
        let snapshot = snapshot(1);
        let mut json: Value = serde_json::from_slice(&snapshot.encode(1 << 20).unwrap()).unwrap();
        json["mood"] = json!("cheerful");
        json["items"][0]["mood"] = json!("cheerful");
        json["items"][0].as_object_mut().unwrap().remove("failed");
        let read = Snapshot::decode(json.to_string().as_bytes()).expect("a newer version's fields do no harm");
        assert_eq!(read.more["mood"], "cheerful");
        assert_eq!(read.items, snapshot.items);
        let written: Value = serde_json::from_slice(&read.encode(1 << 20).unwrap()).unwrap();
        assert_eq!(written["mood"], "cheerful", "and are passed on");
        json["format"] = json!(FORMAT + 1);
        assert_eq!(Snapshot::decode(json.to_string().as_bytes()), None);
        assert_eq!(Snapshot::decode(b"{"), None);
    }
}
