//! A segment cut into what is spoken in one go, so that the first words are heard while the others are being made.

/// A stretch between two marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    /// The words, with the mark that ends them: espeak-ng's accents depend on it.
    pub(super) text: String,
    /// That mark as a voice knows it: one of `. ? ! , ; :`; none where the text just ends.
    pub(super) mark: Option<char>,
}

impl Clause {
    fn ends_sentence(&self) -> bool {
        matches!(self.mark, Some('.' | '?' | '!'))
    }
}

/// The clauses of `text`, in groups that are each spoken in one go. A group ends with every sentence, as it does in Piper, and
/// with every other mark that has at least `chars_min` characters of the group before it, so that a voice is not asked for
/// a single syllable: it speaks those badly. What is left of a sentence stays with the group before if it is that short.
pub(super) fn groups(text: &str, chars_min: usize) -> Vec<Vec<Clause>> {
    let mut groups: Vec<Vec<Clause>> = Vec::new();
    let mut sentence: Vec<Vec<Clause>> = Vec::new();
    let mut length = 0;
    for clause in clauses(text) {
        let chars = clause.text.chars().count();
        let ends = clause.ends_sentence();
        match sentence.last_mut() {
            Some(group) if length < chars_min => {
                group.push(clause);
                length += chars;
            }
            _ => {
                sentence.push(vec![clause]);
                length = chars;
            }
        }
        if ends {
            close(&mut groups, &mut sentence, length < chars_min);
            length = 0;
        }
    }
    close(&mut groups, &mut sentence, length < chars_min);
    groups
}

/// Ends a sentence; a last group that is too short joins the one before it.
fn close(groups: &mut Vec<Vec<Clause>>, sentence: &mut Vec<Vec<Clause>>, last_is_short: bool) {
    if last_is_short
        && sentence.len() > 1
        && let Some(last) = sentence.pop()
        && let Some(before) = sentence.last_mut()
    {
        before.extend(last);
    }
    groups.append(sentence);
}

/// Cuts after marks that are followed by white space or the end (not inside `3.5`, `10:30`, `e.g.`), and after the marks of
/// languages that write without spaces.
fn clauses(text: &str) -> Vec<Clause> {
    let mut found = Vec::new();
    let mut begin = 0;
    let mut mark = None;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if let Some(this) = mark_of(letter) {
            // Of several in a row ("?!", "...") the first says how it sounds, but three dots are a pause.
            let dots = letter == '.' && mark == Some('.');
            mark = Some(if dots { ';' } else { mark.unwrap_or(this) });
        } else if !is_closing(letter) {
            mark = None;
        }
        let end = at + letter.len_utf8();
        let next = letters.peek().map(|(_, next)| *next);
        let free = is_wide(letter) || next.is_none_or(char::is_whitespace);
        let more = next.is_some_and(|next| mark_of(next).is_some() || is_closing(next));
        let abbreviated = mark == Some('.') && text[end..].trim_start().starts_with(char::is_lowercase);
        if mark.is_some() && free && !more && !abbreviated {
            push(&mut found, &text[begin..end], mark.take());
            begin = end;
        }
    }
    push(&mut found, &text[begin..], None);
    found
}

/// Keeps what has anything to say. A mark alone only belongs to the clause before it.
fn push(found: &mut Vec<Clause>, text: &str, mark: Option<char>) {
    let text = text.trim();
    if text.chars().any(char::is_alphanumeric) {
        found.push(Clause { text: text.to_owned(), mark });
    }
}

/// How a mark sounds: espeak-ng's classes of marks, which the voices were trained with.
fn mark_of(letter: char) -> Option<char> {
    Some(match letter {
        '.' | '。' | '．' | '।' => '.',
        '?' | '？' | '؟' => '?',
        '!' | '！' => '!',
        ',' | '，' | '、' | '،' => ',',
        ';' | '；' | '؛' | '…' | '—' => ';',
        ':' | '：' => ':',
        _ => return None,
    })
}

fn is_wide(letter: char) -> bool {
    matches!(letter, '。' | '．' | '？' | '！' | '，' | '、' | '；' | '：' | '—')
}

/// What may stand between a mark and the space after it.
fn is_closing(letter: char) -> bool {
    matches!(letter, '"' | '\'' | '”' | '’' | '»' | ')' | ']' | '」' | '』')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(String, Option<char>)> {
        clauses(text).into_iter().map(|clause| (clause.text, clause.mark)).collect()
    }

    fn grouped(text: &str, chars_min: usize) -> Vec<String> {
        let words = |group: &Vec<Clause>| group.iter().map(|clause| clause.text.as_str()).collect::<Vec<_>>().join(" ");
        groups(text, chars_min).iter().map(words).collect()
    }

    #[test]
    fn marks_cut_and_say_how_it_sounds() {
        let expected = [("Well,", ','), ("at 10:30 it is 3.5 degrees;", ';'), ("really?!", '?'), ("\"Yes.\"", '.')];
        let expected = expected.map(|(text, mark)| (text.to_owned(), Some(mark)));
        assert_eq!(cut("Well, at 10:30 it is 3.5 degrees; really?! \"Yes.\""), expected);
        let marked = |pairs: &[(&str, Option<char>)]| -> Vec<(String, Option<char>)> {
            pairs.iter().map(|(text, mark)| ((*text).to_owned(), *mark)).collect()
        };
        for (text, expected) in [
            ("no mark at all", &[("no mark at all", None)][..]),
            ("Wait... there — now", &[("Wait...", Some(';')), ("there —", Some(';')), ("now", None)]),
            ("fruit, e.g. apples.", &[("fruit,", Some(',')), ("e.g. apples.", Some('.'))]),
            ("你好，世界。好", &[("你好，", Some(',')), ("世界。", Some('.')), ("好", None)]),
        ] {
            assert_eq!(cut(text), marked(expected), "{text}");
        }
    }

    #[test]
    fn marks_without_words_are_nothing() {
        for text in ["", " ", "...", "?! ,", "— — —", "\"\""] {
            assert_eq!(cut(text), [], "{text:?}");
            assert!(groups(text, 10).is_empty());
        }
    }

    #[test]
    fn short_clauses_are_spoken_with_their_neighbours() {
        assert_eq!(grouped("Yes. No. Maybe, yes.", 20), ["Yes.", "No.", "Maybe, yes."], "sentences always end a group");
        assert_eq!(grouped("Well, that is as good as it gets, so.", 12), ["Well, that is as good as it gets, so."]);
        assert_eq!(
            grouped("Well, that is as good as it gets, I am afraid to say.", 12),
            ["Well, that is as good as it gets,", "I am afraid to say."]
        );
        assert_eq!(grouped("a, b, c", 0), ["a,", "b,", "c"]);
    }

    #[test]
    fn no_word_is_lost_whatever_the_text() {
        let words = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>();
        for text in ["a.b c", "(x) y: z", "1,2, 3", "'a', \"b\".c", "...a...b... c", "a .b. C", "\u{301},x\u{200d}. é"]
        {
            for chars_min in [0, 1, 5, 100] {
                assert_eq!(words(&grouped(text, chars_min).concat()), words(text), "{text:?} {chars_min}");
            }
        }
    }
}
