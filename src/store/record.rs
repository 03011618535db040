//! What a session hands to the recorder: rows on their way.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One change, complete in itself: it can be written today, or read back from the spool tomorrow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Which conversation.
    #[serde(with = "as_text")]
    pub conversation: Uuid,
    /// The session that writes.
    #[serde(with = "as_text")]
    pub session: Uuid,
    /// The epoch it was given: the right to write.
    pub epoch: i64,
    /// Counts up within the session, from 1. The newest state of an item wins.
    pub revision: i64,
    /// When it came about, in milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub change: Change,
}

/// What becomes different.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// The conversation began.
    Opened(Opening),
    /// An item as it now stands.
    Item(Box<ItemRow>),
    /// The receipt of a reply.
    Receipt(ReceiptRow),
    /// The conversation is over.
    Closed(Closing),
    /// A file of sound as it now stands.
    Track(TrackRow),
}

/// How a conversation began.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Opening {
    /// Whose it is.
    pub tenant: String,
    /// Which user's, if that is known.
    pub user: Option<String>,
    /// Who answers.
    pub agent: String,
    /// Its language, as a BCP 47 tag; empty = not known.
    pub language: String,
    /// Whether who speaks agreed to being kept, if the client said so.
    #[serde(default)]
    pub consent: Option<bool>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Closing {
    /// Whether its server ended in the middle of it.
    pub lost: bool,
    /// Why, as a word.
    pub reason: String,
    /// Audio heard from the user.
    pub audio_in_ms: i64,
    /// Audio sent.
    pub audio_out_ms: i64,
}

/// A file with one side of what was said in one session. The session's epoch is the number of the part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrackRow {
    /// `user` or `assistant`.
    pub track: String,
    /// Where it begins, in the conversation's media time.
    pub offset_ms: i64,
    /// How long it is, once it is over.
    pub length_ms: Option<i64>,
    /// How large, once it is over.
    pub bytes: Option<i64>,
    /// Whether it is over, and nothing is missing.
    pub complete: bool,
}

/// An item: something said, called or answered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ItemRow {
    /// Its number within the conversation.
    pub item: i64,
    /// Its place among the others.
    pub position: f64,
    /// `user`, `assistant`, `system` or `tool`.
    pub role: String,
    /// `speech`, `text`, `note`, `reply`, `tool_call`, `tool_output`; `deleted` if the client took it out.
    pub kind: String,
    /// The words; of a reply that was cut off, those that were heard.
    pub text: String,
    /// All words of a reply that was cut off.
    pub written: Option<String>,
    /// Language as the recogniser names it.
    pub language: String,
    /// Where it began, in the media time of the user's audio.
    pub start_ms: Option<i64>,
    /// Where it ended.
    pub end_ms: Option<i64>,
    /// Whether it was cut off.
    pub interrupted: bool,
    /// The reply it belongs to.
    pub response: Option<i64>,
    /// The call it makes or answers.
    pub call: Option<i64>,
    /// What it calls.
    pub tool: Option<String>,
    /// With what, as JSON text.
    pub arguments: Option<String>,
    /// Whether it failed.
    pub failed: bool,
}

/// The receipt of a finished reply. Stages in milliseconds from the end of the user's speech.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReceiptRow {
    /// Which reply.
    pub response: i64,
    /// The item it answered.
    pub turn: Option<i64>,
    /// How it ended, as a word.
    pub status: String,
    /// Why, if that needs a word.
    pub reason: Option<String>,
    /// Until the end of the turn was decided.
    pub endpoint_ms: Option<i64>,
    /// Until the final transcript.
    pub transcript_ms: Option<i64>,
    /// Until the agent's first word.
    pub first_text_ms: Option<i64>,
    /// Until the voice's first sound.
    pub first_audio_ms: Option<i64>,
    /// Until the first audio was handed to the socket.
    pub first_sent_ms: Option<i64>,
    /// Tokens read.
    pub input_tokens: i64,
    /// Tokens written.
    pub output_tokens: i64,
}

impl Change {
    /// Makes every text storable: no NUL, which Postgres refuses, and none longer than [`TEXT_BYTES_MAX`].
    pub(super) fn clean(&mut self) {
        let texts: Vec<&mut String> = match self {
            Self::Opened(opening) => vec![&mut opening.tenant, &mut opening.agent, &mut opening.language]
                .into_iter()
                .chain(&mut opening.user)
                .collect(),
            Self::Item(item) => {
                let ItemRow { role, kind, text, written, language, tool, arguments, .. } = &mut **item;
                vec![role, kind, text, language].into_iter().chain(written).chain(tool).chain(arguments).collect()
            }
            Self::Receipt(receipt) => std::iter::once(&mut receipt.status).chain(&mut receipt.reason).collect(),
            Self::Closed(closing) => vec![&mut closing.reason],
            Self::Track(track) => vec![&mut track.track],
        };
        for text in texts {
            if text.contains('\0') {
                *text = text.replace('\0', "\u{fffd}");
            }
            if text.len() > TEXT_BYTES_MAX {
                text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
            }
        }
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let inside = match self {
            Self::Item(item) => {
                let optional = [&item.written, &item.tool, &item.arguments];
                item.text.len() + optional.into_iter().flatten().map(String::len).sum::<usize>()
            }
            Self::Opened(_) | Self::Receipt(_) | Self::Closed(_) | Self::Track(_) => 0,
        };
        inside + 256
    }
}

/// Longest text kept, in bytes; the rest is cut off.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Ids as text, which a person can look for in a spool.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use uuid::Uuid;

    pub(super) fn serialize<S: Serializer>(uuid: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&uuid.simple())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        Uuid::try_parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
