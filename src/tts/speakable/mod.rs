//! Text as written becomes text as spoken: no Markdown, no emoji, numbers and signs as words.
//!
//! Pure: the same text gives the same words. Plain prose passes unchanged, and nothing panics whatever the model wrote.
//! The text that clients are shown stays as written. Only the structure (Markdown, links, emoji) is handled in every
//! language; the words for numbers, units, abbreviations and signs are English. A construct that the segmenter cut in two
//! (a code block over several sentences) is seen in pieces: its marks are dropped, its words are spoken.

mod abbreviations;
mod emoji;
mod links;
mod markdown;
mod numbers;
mod numerals;
mod signs;
mod units;

/// `text` as it is to be spoken in `language` (a BCP 47 tag). Empty if there is nothing to say.
pub fn speakable(text: &str, language: &str) -> String {
    let english = is_english(language);
    let text: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    let text = markdown::prose(&text);
    let text = links::spoken(&text, english);
    let text = emoji::removed(&text);
    let text = if english {
        let text = abbreviations::spelled_out(&text);
        signs::spoken(&numbers::spelled_out(&text))
    } else {
        text
    };
    tidy(&text)
}

fn is_english(language: &str) -> bool {
    let primary = language.split(['-', '_', '+']).next().unwrap_or_default();
    primary.is_empty() || primary.eq_ignore_ascii_case("en")
}

/// Single spaces, none before a closing mark; empty if no letter or digit is left.
fn tidy(text: &str) -> String {
    if !text.chars().any(char::is_alphanumeric) {
        return String::new();
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let closing = word.chars().all(|c| matches!(c, '.' | ',' | ';' | ':' | '!' | '?'));
        if !out.is_empty() && !closing {
            out.push(' ');
        }
        // "a, ," happens where a mark was dropped between two commas.
        if closing && out.ends_with(word) {
            continue;
        }
        out.push_str(word);
    }
    out.trim_start_matches([',', ';', ':', '.', ' ']).to_owned()
}
