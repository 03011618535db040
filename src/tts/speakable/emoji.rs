//! Emoji are seen, not said.

use unicode_segmentation::UnicodeSegmentation as _;

/// `text` without emoji, joiners and invisible characters.
pub(super) fn removed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for cluster in text.graphemes(true) {
        if is_emoji(cluster) {
            out.push(' ');
        } else {
            out.extend(cluster.chars().filter(|c| !is_invisible(*c)));
        }
    }
    out
}

fn is_emoji(cluster: &str) -> bool {
    if cluster.is_ascii() {
        return false;
    }
    let mut chars = cluster.chars();
    let (first, alone) = (chars.next(), chars.next().is_none());
    match first {
        // Signs that have words of their own, unless asked for as pictures.
        Some('©' | '®' | '™' | '‼' | '⁉' | '↔' | '↕') if alone => false,
        _ => emojis::get(cluster).is_some() || cluster.chars().any(is_pictograph),
    }
}

/// Pictures that the table of named emoji may not know yet, flags, keycaps, tags and skin tones.
fn is_pictograph(c: char) -> bool {
    matches!(u32::from(c), 0x1F000..=0x1FAFF | 0x2600..=0x27BF | 0x20E3 | 0xFE0F | 0xE0020..=0xE007F)
}

/// Zero-width and direction characters and the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c), 0x00AD | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x2069 | 0xFE00..=0xFE0E | 0xFEFF)
}
