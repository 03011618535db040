//! A conversation as a file for people and players: WebVTT, SRT, Markdown, text.

use std::fmt::Write as _;

use crate::store::{Conversation, Item, record::ItemRow};

/// What a transcript can be exported as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    Json,
    Vtt,
    Srt,
    Md,
    Txt,
}

impl Format {
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Vtt => "text/vtt; charset=utf-8",
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Md => "text/markdown; charset=utf-8",
            Self::Txt => "text/plain; charset=utf-8",
        }
    }

    /// The one that an `Accept` header asks for first.
    pub(super) fn accepted(accept: &str) -> Option<Self> {
        accept.split(',').find_map(|range| match range.split(';').next().unwrap_or_default().trim() {
            "application/json" | "*/*" | "application/*" => Some(Self::Json),
            "text/vtt" => Some(Self::Vtt),
            "application/x-subrip" => Some(Self::Srt),
            "text/markdown" => Some(Self::Md),
            "text/plain" | "text/*" => Some(Self::Txt),
            _ => None,
        })
    }
}

/// A stretch of speech with its words on at most two lines.
struct Cue {
    start_ms: i64,
    end_ms: i64,
    speaker: &'static str,
    lines: Vec<String>,
}

/// Web Video Text Tracks, with voice spans.
pub(super) fn vtt(items: &[Item]) -> String {
    let mut out = String::from("WEBVTT\n");
    for cue in cues(items) {
        let words = cue.lines.iter().map(|line| escape(line)).collect::<Vec<_>>().join("\n");
        let (start, end) = (clock(cue.start_ms, '.'), clock(cue.end_ms, '.'));
        let _infallible = write!(out, "\n{start} --> {end}\n<v {}>{words}</v>\n", cue.speaker);
    }
    out
}

/// SubRip: comma decimals, CRLF, no markup.
pub(super) fn srt(items: &[Item]) -> String {
    let mut out = String::new();
    for (index, cue) in cues(items).enumerate() {
        let (start, end) = (clock(cue.start_ms, ','), clock(cue.end_ms, ','));
        let words = cue.lines.join("\r\n").replace("-->", "→");
        let number = index + 1;
        let _infallible = write!(out, "{number}\r\n{start} --> {end}\r\n{}: {words}\r\n\r\n", cue.speaker);
    }
    out
}

/// A document to read.
pub(super) fn markdown(conversation: &Conversation, items: &[Item]) -> String {
    let title = conversation.title.as_deref().map_or_else(|| "Conversation".to_owned(), flat);
    let started = super::wire::rfc3339(conversation.started_at_ms);
    let mut out = format!("# {title}\n\n{started}, agent {}\n", flat(&conversation.agent));
    for Item { row: item, .. } in items {
        let time = item.start_ms.map(|ms| format!(" ({})", clock(ms, '.'))).unwrap_or_default();
        let text = flat(&item.text);
        let _infallible = match item.kind.as_str() {
            "tool_call" => write!(
                out,
                "\n> calls `{}` with `{}`\n",
                code(item.tool.as_deref().unwrap_or_default()),
                code(item.arguments.as_deref().unwrap_or_default())
            ),
            "tool_output" => {
                write!(out, "\n> {}: `{}`\n", if item.failed { "failed" } else { "gives" }, code(&item.text))
            }
            "note" => write!(out, "\n*{text}*\n"),
            _ if item.failed => write!(out, "\n**{}**{time}: *not understood*\n", speaker(item)),
            _ => {
                let cut = if item.interrupted { " — *interrupted*" } else { "" };
                write!(out, "\n**{}**{time}: {text}{cut}\n", speaker(item))
            }
        };
    }
    out
}

/// The words alone, a line each.
pub(super) fn text(items: &[Item]) -> String {
    let mut out = String::new();
    for item in items.iter().map(|item| &item.row).filter(|item| is_said(item)) {
        let words: Vec<&str> = item.text.split_whitespace().collect();
        let _infallible = writeln!(out, "{}: {}", speaker(item), words.join(" "));
    }
    out
}

fn is_said(item: &ItemRow) -> bool {
    matches!(item.kind.as_str(), "speech" | "text" | "reply") && !item.text.trim().is_empty()
}

fn speaker(item: &ItemRow) -> &'static str {
    if item.role == "assistant" { "Assistant" } else { "User" }
}

/// What was said, cut so that each cue can be read: two lines, seven seconds.
fn cues(items: &[Item]) -> impl Iterator<Item = Cue> {
    let mut so_far_ms = 0;
    items.iter().map(|item| &item.row).filter(|item| is_said(item)).flat_map(move |item| {
        let lines = wrapped(&item.text);
        let start_ms = item.start_ms.unwrap_or(so_far_ms);
        // Text that was never spoken is shown as long as reading it takes.
        let reading_ms = 1_000 + 1_500 * i64::try_from(lines.len()).unwrap_or(1);
        let spoken_ms = item.end_ms.map_or(0, |end| end - start_ms);
        let length_ms = if spoken_ms > 0 { spoken_ms } else { reading_ms };
        so_far_ms = start_ms + length_ms;
        let by_lines = lines.len().div_ceil(LINES_MAX);
        let by_time = usize::try_from(length_ms.div_euclid(CUE_MS_MAX) + 1).unwrap_or(1);
        let wanted = by_lines.max(by_time.min(lines.len())).max(1);
        let per_cue = lines.len().div_ceil(wanted).max(1);
        let parts: Vec<Vec<String>> = lines.chunks(per_cue).map(<[String]>::to_vec).collect();
        let count = i64::try_from(parts.len()).unwrap_or(1).max(1);
        let speaker = speaker(item);
        parts.into_iter().zip(0..).map(move |(lines, index): (Vec<String>, i64)| {
            let from = start_ms + length_ms * index / count;
            let to = start_ms + length_ms * (index + 1) / count;
            Cue { start_ms: from, end_ms: to.min(from + CUE_MS_MAX).max(from + 1), speaker, lines }
        })
    })
}

/// Lines of at most [`LINE_CHARS_MAX`] characters; longer words are cut.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(LINE_CHARS_MAX) {
            if used > 0 && used + 1 + part.len() > LINE_CHARS_MAX {
                lines.push(String::new());
                used = 0;
            }
            let Some(line) = lines.last_mut() else { continue };
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.extend(part);
            used += part.len();
        }
    }
    lines
}

/// `00:01:02.345`.
fn clock(ms: i64, point: char) -> String {
    let ms = ms.max(0);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{point}{:03}", ms % 1_000)
}

/// Nothing in a cue may look like markup or like the line above it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// On one line, with nothing that Markdown would take for its own.
fn flat(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if matches!(letter, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '!') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// Between backticks.
fn code(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "'")
}

const LINES_MAX: usize = 2;
const LINE_CHARS_MAX: usize = 42;
const CUE_MS_MAX: i64 = 7_000;
