//! What was kept of a session that is over becomes what a conversation goes on with.

use std::{collections::HashMap, sync::Arc};

use crate::{
    audio::AudioPos,
    conversation::{Content, Item, Past},
    ids::{CallId, ItemId, ResponseId, UtteranceId},
    store::{
        self, late,
        record::{ItemRow, ReceiptRow},
        shared::Snapshot,
    },
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
    /// All items as they are kept.
    pub(crate) rows: Vec<ItemRow>,
}

impl Kept {
    /// Reads rows, and with them the state that the session's server left behind, which may know more. What makes no sense (a
    /// newer version wrote it) is left out, and stays where it is kept.
    pub fn read(
        conversation: &store::Conversation,
        items: Vec<store::Item>,
        receipts: &[ReceiptRow],
        left: Option<Snapshot>,
    ) -> Self {
        let rows = merged(items, left);
        // Rows that were added late have numbers beyond ours. Here they get some that nobody gives out: the last ones.
        let mut last = (0..=u32::MAX).rev();
        let mut id = |row: &ItemRow| if late::is_late(row.item) { last.next() } else { number(row.item) };
        let read =
            rows.iter().filter_map(|row| Some((Item { id: ItemId(id(row)?), content: content(row)? }, row.position)));
        let read: Vec<(Item, f64)> = read.collect();
        let replies = rows.iter().filter_map(|row| row.response).chain(receipts.iter().map(|row| row.response));
        let calls = rows.iter().filter_map(|row| row.call.and_then(number)).map(CallId);
        Self {
            past: Past {
                response: ResponseId(replies.filter_map(number).max().unwrap_or_default()),
                call: calls.filter(|call| !call.is_of_client()).max().unwrap_or_default(),
                items: read.iter().map(|(item, _)| item.clone()).collect(),
            },
            positions: read.iter().map(|(item, position)| (item.id, *position)).collect(),
            ended_ms: rows.iter().filter_map(|row| row.end_ms).max().unwrap_or_default(),
            audio_ms: (conversation.audio_in_ms, conversation.audio_out_ms),
            rows,
        }
    }
}

/// What the database has, with what is newer in the state that was left. That is not written here: the server that left it
/// has it in its spool, and adds it late.
fn merged(items: Vec<store::Item>, left: Option<Snapshot>) -> Vec<ItemRow> {
    let revisions: HashMap<i64, i64> = items.iter().map(|item| (item.row.item, item.revision)).collect();
    let mut rows: Vec<ItemRow> = items.into_iter().map(|item| item.row).collect();
    let (left_at, left) = left.map(|left| (left.revision, left.items)).unwrap_or_default();
    for row in left {
        let added_late = |known: &ItemRow| late::numbered(known.item, row.item) && known.text == row.text;
        if rows.iter().any(added_late) {
            continue;
        }
        match rows.iter_mut().find(|known| known.item == row.item) {
            None => rows.push(row),
            Some(known) if revisions.get(&row.item).is_some_and(|at| *at <= left_at) => *known = row,
            Some(_) => {}
        }
    }
    rows.sort_by(|a, b| a.position.total_cmp(&b.position).then(a.item.cmp(&b.item)));
    rows
}

fn content(row: &ItemRow) -> Option<Content> {
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
