//! What the answers look like. Times of day are RFC 3339, times within a conversation milliseconds.

use serde::Serialize;
use utoipa::ToSchema;

use crate::store::{Conversation, Hit, Item, Usage, record::ReceiptRow, words::Piece};

/// A part of a list, in the shape that OpenAI's lists have.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    pub(super) object: &'static str,
    pub(super) data: Vec<T>,
    pub(super) has_more: bool,
    /// The cursor of the next part: `after=…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConversationView {
    object: &'static str,
    id: String,
    session: String,
    /// Whose it is; null if it belongs to no user.
    user: Option<String>,
    agent: String,
    language: String,
    /// What it was about, once it is over.
    title: Option<String>,
    /// The same in a few sentences.
    summary: Option<String>,
    /// What made title and summary: a model's name, or a method's.
    summary_by: Option<String>,
    /// Whether who spoke agreed to being kept, if the client said so (`hello.consent`).
    consent: Option<bool>,
    state: String,
    end_reason: Option<String>,
    started_at: String,
    ended_at: Option<String>,
    audio_in_ms: i64,
    audio_out_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<ItemView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replies: Option<Vec<ReceiptView>>,
}

impl ConversationView {
    pub(super) fn of(conversation: Conversation) -> Self {
        Self {
            object: "conversation",
            id: conversation.id.to_string(),
            session: conversation.session.to_string(),
            user: conversation.user,
            agent: conversation.agent,
            language: conversation.language,
            title: conversation.title,
            summary: conversation.summary,
            summary_by: conversation.summary_by,
            consent: conversation.consent,
            state: conversation.state,
            end_reason: conversation.end_reason,
            started_at: rfc3339(conversation.started_at_ms),
            ended_at: conversation.ended_at_ms.map(rfc3339),
            audio_in_ms: conversation.audio_in_ms,
            audio_out_ms: conversation.audio_out_ms,
            items: None,
            replies: None,
        }
    }

    /// With everything in it.
    pub(super) fn whole(conversation: Conversation, items: Vec<Item>, receipts: Vec<ReceiptRow>) -> Self {
        Self {
            items: Some(items.into_iter().map(ItemView::of).collect()),
            replies: Some(receipts.into_iter().map(ReceiptView::of).collect()),
            ..Self::of(conversation)
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ItemView {
    id: i64,
    role: String,
    kind: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_text: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    language: String,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    interrupted: bool,
    failed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<String>,
    recorded_at: String,
}

impl ItemView {
    fn of(item: Item) -> Self {
        let recorded_at = rfc3339(item.recorded_at_ms);
        let item = item.row;
        Self {
            id: item.item,
            role: item.role,
            kind: item.kind,
            text: item.text,
            full_text: item.written,
            language: item.language,
            start_ms: item.start_ms,
            end_ms: item.end_ms,
            interrupted: item.interrupted,
            failed: item.failed,
            reply: item.response,
            call: item.call,
            tool: item.tool,
            arguments: item.arguments,
            recorded_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ReceiptView {
    reply: i64,
    turn: Option<i64>,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    latency_ms: Latency,
    usage: Tokens,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceiptLatency)]
struct Latency {
    eot: Option<i64>,
    asr: Option<i64>,
    llm_first: Option<i64>,
    tts_first: Option<i64>,
    first_audio: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Tokens {
    input_tokens: i64,
    output_tokens: i64,
}

impl ReceiptView {
    fn of(receipt: ReceiptRow) -> Self {
        Self {
            reply: receipt.response,
            turn: receipt.turn,
            status: receipt.status,
            reason: receipt.reason,
            latency_ms: Latency {
                eot: receipt.endpoint_ms,
                asr: receipt.transcript_ms,
                llm_first: receipt.first_text_ms,
                tts_first: receipt.first_audio_ms,
                first_audio: receipt.first_sent_ms,
            },
            usage: Tokens { input_tokens: receipt.input_tokens, output_tokens: receipt.output_tokens },
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HitView {
    conversation: String,
    started_at: String,
    item: i64,
    role: String,
    start_ms: Option<i64>,
    /// The text around the first hit, in pieces.
    snippet: Vec<Piece>,
}

impl HitView {
    pub(super) fn of(hit: Hit, snippet: Vec<Piece>) -> Self {
        Self {
            conversation: hit.conversation.to_string(),
            started_at: rfc3339(hit.started_at_ms),
            item: hit.item,
            role: hit.role,
            start_ms: hit.start_ms,
            snippet,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageView {
    object: &'static str,
    from: String,
    to: String,
    total: Used,
    days: Vec<Day>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Day {
    date: String,
    #[serde(flatten)]
    used: Used,
}

#[derive(Debug, Default, Clone, Copy, Serialize, ToSchema)]
struct Used {
    conversations: i64,
    replies: i64,
    audio_in_s: f64,
    audio_out_s: f64,
    input_tokens: i64,
    output_tokens: i64,
}

impl Used {
    fn of(usage: &Usage) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "seconds with three digits")]
        let seconds = |ms: i64| ms as f64 / 1000.0;
        Self {
            conversations: usage.conversations,
            replies: usage.replies,
            audio_in_s: seconds(usage.audio_in_ms),
            audio_out_s: seconds(usage.audio_out_ms),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
        }
    }
}

impl UsageView {
    pub(super) fn of(from_ms: i64, to_ms: i64, days: &[Usage]) -> Self {
        let total = days.iter().fold(Usage::default(), |sum, day| Usage {
            day: 0,
            conversations: sum.conversations + day.conversations,
            audio_in_ms: sum.audio_in_ms + day.audio_in_ms,
            audio_out_ms: sum.audio_out_ms + day.audio_out_ms,
            replies: sum.replies + day.replies,
            input_tokens: sum.input_tokens + day.input_tokens,
            output_tokens: sum.output_tokens + day.output_tokens,
        });
        let date = |day: i64| rfc3339(day.saturating_mul(86_400_000)).chars().take(10).collect();
        Self {
            object: "usage",
            from: rfc3339(from_ms),
            to: rfc3339(to_ms),
            total: Used::of(&total),
            days: days.iter().map(|day| Day { date: date(day.day), used: Used::of(day) }).collect(),
        }
    }
}

/// `2026-11-23T19:44:37.120Z`.
pub(super) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|at| format!("{at:.3}")).unwrap_or_default()
}
