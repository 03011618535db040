//! Rows as they are read.

use sqlx::{FromRow, Row as _, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    jobs::Job,
    record::{ItemRow, ReceiptRow, TrackRow},
};
use crate::ids::{ConversationId, JobId, SessionId};

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// The session that held it.
    pub session: SessionId,
    /// Whose it is, if that is known.
    pub user: Option<String>,
    /// Who answered.
    pub agent: String,
    /// Its language when it began.
    pub language: String,
    /// What it was about, if somebody has said so.
    pub title: Option<String>,
    /// The same in a few sentences.
    pub summary: Option<String>,
    /// What made title and summary: a model's name, or a method's.
    pub summary_by: Option<String>,
    /// Whether who spoke agreed to being kept, if the client said so.
    pub consent: Option<bool>,
    /// `live`, `ended` or `lost`.
    pub state: String,
    /// Why it ended, as a word.
    pub end_reason: Option<String>,
    /// Milliseconds since 1970.
    pub started_at_ms: i64,
    /// Milliseconds since 1970.
    pub ended_at_ms: Option<i64>,
    /// Audio heard from the user.
    pub audio_in_ms: i64,
    /// Audio sent.
    pub audio_out_ms: i64,
}

/// An item of a timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// As it was written.
    pub row: ItemRow,
    /// When it was recorded, in milliseconds since 1970.
    pub recorded_at_ms: i64,
    /// Which state of it this is.
    pub revision: i64,
}

/// A place where words were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Grows with every item written: the cursor.
    pub number: i64,
    /// The conversation.
    pub conversation: ConversationId,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// The item.
    pub item: i64,
    /// Who said it.
    pub role: String,
    /// All of its text.
    pub text: String,
    /// Where it began, in the media time of the user's audio.
    pub start_ms: Option<i64>,
}

/// A file with one side of what was said in one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// As it was written.
    pub row: TrackRow,
    /// The session's epoch: counts up with each session that went on with the conversation.
    pub part: i64,
    /// The server that wrote it, on its own disk unless that is shared.
    pub node: String,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
}

/// What was used on one day (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Days since 1970-01-01.
    pub day: i64,
    /// Conversations that began.
    pub conversations: i64,
    /// Audio heard.
    pub audio_in_ms: i64,
    /// Audio sent.
    pub audio_out_ms: i64,
    /// Replies.
    pub replies: i64,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
}

/// The same reading of a row from either database.
macro_rules! reads {
    ($name:ident, $row:ident => $body:expr) => {
        impl FromRow<'_, PgRow> for $name {
            fn from_row($row: &PgRow) -> Result<Self, sqlx::Error> {
                Ok($body)
            }
        }

        impl FromRow<'_, SqliteRow> for $name {
            fn from_row($row: &SqliteRow) -> Result<Self, sqlx::Error> {
                Ok($body)
            }
        }
    };
}

pub(super) use reads;

reads!(Conversation, row => Self {
    id: ConversationId::of_uuid(row.try_get::<Uuid, _>("id")?),
    session: SessionId::of_uuid(row.try_get::<Uuid, _>("session_id")?),
    user: row.try_get("user_id")?,
    agent: row.try_get("agent")?,
    language: row.try_get("language")?,
    title: row.try_get("title")?,
    summary: row.try_get("summary")?,
    summary_by: row.try_get("summary_by")?,
    consent: row.try_get("consent")?,
    state: row.try_get("state")?,
    end_reason: row.try_get("end_reason")?,
    started_at_ms: row.try_get("started_at_ms")?,
    ended_at_ms: row.try_get("ended_at_ms")?,
    audio_in_ms: row.try_get("audio_in_ms")?,
    audio_out_ms: row.try_get("audio_out_ms")?,
});

reads!(Item, row => Self {
    row: ItemRow {
        item: row.try_get("item")?,
        position: row.try_get("position")?,
        role: row.try_get("role")?,
        kind: row.try_get("kind")?,
        text: row.try_get("text")?,
        written: row.try_get("written")?,
        language: row.try_get("language")?,
        start_ms: row.try_get("start_ms")?,
        end_ms: row.try_get("end_ms")?,
        interrupted: row.try_get("interrupted")?,
        response: row.try_get("response")?,
        call: row.try_get("call")?,
        tool: row.try_get("tool")?,
        arguments: row.try_get("arguments")?,
        failed: row.try_get("failed")?,
    },
    recorded_at_ms: row.try_get("recorded_at_ms")?,
    revision: row.try_get("revision")?,
});

reads!(ReceiptRow, row => Self {
    response: row.try_get("response")?,
    turn: row.try_get("turn")?,
    status: row.try_get("status")?,
    reason: row.try_get("reason")?,
    endpoint_ms: row.try_get("endpoint_ms")?,
    transcript_ms: row.try_get("transcript_ms")?,
    first_text_ms: row.try_get("first_text_ms")?,
    first_audio_ms: row.try_get("first_audio_ms")?,
    first_sent_ms: row.try_get("first_sent_ms")?,
    input_tokens: row.try_get("input_tokens")?,
    output_tokens: row.try_get("output_tokens")?,
});

reads!(Hit, row => Self {
    number: row.try_get("number")?,
    conversation: ConversationId::of_uuid(row.try_get::<Uuid, _>("conversation_id")?),
    started_at_ms: row.try_get("started_at_ms")?,
    item: row.try_get("item")?,
    role: row.try_get("role")?,
    text: row.try_get("text")?,
    start_ms: row.try_get("start_ms")?,
});

reads!(Track, row => Self {
    row: TrackRow {
        track: row.try_get("track")?,
        offset_ms: row.try_get("offset_ms")?,
        length_ms: row.try_get("length_ms")?,
        bytes: row.try_get("bytes")?,
        complete: row.try_get("complete")?,
    },
    part: row.try_get("part")?,
    node: row.try_get("node")?,
    started_at_ms: row.try_get("started_at_ms")?,
});

reads!(Usage, row => Self {
    day: row.try_get("day")?,
    conversations: row.try_get("conversations")?,
    audio_in_ms: row.try_get("audio_in_ms")?,
    audio_out_ms: row.try_get("audio_out_ms")?,
    replies: row.try_get("replies")?,
    input_tokens: row.try_get("input_tokens")?,
    output_tokens: row.try_get("output_tokens")?,
});

reads!(Job, row => Self {
    number: row.try_get("number")?,
    id: JobId::of_uuid(row.try_get::<Uuid, _>("id")?),
    kind: row.try_get("kind")?,
    subject: row.try_get("subject")?,
    state: row.try_get("state")?,
    attempts: row.try_get("attempts")?,
    due_at_ms: row.try_get("due_at_ms")?,
    node: row.try_get("node")?,
    error: row.try_get("error")?,
    created_at_ms: row.try_get("created_at_ms")?,
    finished_at_ms: row.try_get("finished_at_ms")?,
});
