//! What was kept of a session that is over becomes what a conversation goes on with.

use std::{collections::HashMap, sync::Arc};

use crate::{
    audio::AudioPos,
    conversation::{Content, Item, Past},
    ids::{CallId, ItemId, ResponseId, UtteranceId},
    store,
};

/// A conversation as it was kept, to go on with.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// For the core.
    pub past: Past,
    /// Where its items stand.
    pub(crate) positions: HashMap<ItemId, f64>,
    /// Where its media time ended, in milliseconds.
    pub(crate) ended_ms: i64,
    /// Audio heard and sent so far, in milliseconds.
    pub(crate) audio_ms: (i64, i64),
}

impl Kept {
    /// Reads rows. Those that make no sense (a newer version wrote them) are left out, and stay where they are kept.
    pub fn read(conversation: &store::Conversation, items: &[store::Item], receipts: &[store::Receipt]) -> Self {
        // Rows that were added late have numbers beyond ours. Here they get some that nobody gives out: the last ones.
        let mut last = (0..=u32::MAX).rev();
        let mut id = |row: &store::Item| if row.item > i64::from(u32::MAX) { last.next() } else { number(row.item) };
        let read =
            items.iter().filter_map(|row| Some((Item { id: ItemId(id(row)?), content: content(row)? }, row.position)));
        let read: Vec<(Item, f64)> = read.collect();
        let replies = items.iter().filter_map(|row| row.response).chain(receipts.iter().map(|row| row.response));
        let calls = items.iter().filter_map(|row| row.call.and_then(number)).map(CallId);
        Self {
            past: Past {
                response: ResponseId(replies.filter_map(number).max().unwrap_or_default()),
                call: calls.filter(|call| !call.is_of_client()).max().unwrap_or_default(),
                items: read.iter().map(|(item, _)| item.clone()).collect(),
            },
            positions: read.iter().map(|(item, position)| (item.id, *position)).collect(),
            ended_ms: items.iter().filter_map(|row| row.end_ms).max().unwrap_or_default(),
            audio_ms: (conversation.audio_in_ms, conversation.audio_out_ms),
        }
    }
}

fn content(row: &store::Item) -> Option<Content> {
    let text = || Arc::<str>::from(row.text.as_str());
    let response = row.response.and_then(number).map(ResponseId);
    let call = || row.call.and_then(number).map(CallId);
    Some(match row.kind.as_str() {
        "speech" => Content::Speech {
            utterance: UtteranceId::default(),
            start: position(row.start_ms),
            end: position(row.end_ms),
            text: (!row.failed).then(text),
            language: Arc::from(row.language.as_str()),
        },
        "text" => Content::UserText(text()),
        "note" => Content::SystemText(text()),
        "reply" => Content::Reply { response, text: text(), interrupted: row.interrupted },
        "tool_call" => Content::ToolCall {
            response,
            call: call()?,
            name: Arc::from(row.tool.as_deref()?),
            arguments: Arc::from(row.arguments.as_deref()?),
        },
        "tool_output" => Content::ToolOutput { call: call()?, output: text(), failed: row.failed },
        _ => return None,
    })
}

fn number(kept: i64) -> Option<u32> {
    u32::try_from(kept).ok()
}

fn position(ms: Option<i64>) -> AudioPos {
    // More than any audio has, less than overflows.
    AudioPos::from_ms(u64::try_from(ms.unwrap_or_default()).unwrap_or_default().min(1 << 40))
}
