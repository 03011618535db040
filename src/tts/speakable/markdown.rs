//! Markdown becomes prose: the words of headings, lists, tables and links, without their marks.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The words of `text`, its blocks set apart by full stops.
pub(super) fn prose(text: &str) -> String {
    let text = guarded(text);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut prose = Prose::default();
    for event in Parser::new_ext(&text, options) {
        prose.take(event);
    }
    prose.out
}

/// `2*3*4` is arithmetic, not emphasis.
fn guarded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let between_digits =
            before.is_some_and(|b: char| b.is_ascii_digit()) && chars.peek().is_some_and(char::is_ascii_digit);
        out.push(if c == '*' && between_digits { '×' } else { c });
        before = Some(c);
    }
    out
}

#[derive(Default)]
struct Prose {
    out: String,
    /// Inside a fenced code block: nobody wants to hear a program.
    silent: bool,
    /// The numbers of the ordered lists we are in; `None` for bullets.
    lists: Vec<Option<u64>>,
    /// A block ended; the next words begin a new sentence.
    pause: Option<char>,
}

impl Prose {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.say(&text)
            }
            Event::Html(html) | Event::InlineHtml(html) => self.say(&without_tags(&html)),
            Event::SoftBreak | Event::HardBreak => self.out.push(' '),
            Event::Rule | Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::CodeBlock(CodeBlockKind::Fenced(_)) => self.silent = true,
            Tag::List(first) => {
                self.pause = self.pause.or(Some('.'));
                self.lists.push(*first);
            }
            Tag::Item => {
                if let Some(Some(number)) = self.lists.last_mut() {
                    let mark = format!("{number}. ");
                    *number = number.saturating_add(1);
                    self.say(&mark);
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::CodeBlock => {
                self.silent = false;
                self.pause = Some('.');
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.pause = Some('.');
            }
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Item | TagEnd::TableRow | TagEnd::TableHead => {
                self.pause = Some('.')
            }
            TagEnd::TableCell => self.pause = Some(','),
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        if self.silent || text.is_empty() {
            return;
        }
        if let Some(mark) = self.pause.take() {
            let said = self.out.trim_end();
            if said.ends_with(char::is_alphanumeric) || said.ends_with([')', '"', '\'', '”', '’']) {
                self.out.truncate(said.len());
                self.out.push(mark);
            }
            self.out.push(' ');
        }
        self.out.push_str(text);
    }
}

/// Text between tags: `<b>bold</b>` is `bold`. A `<` that opens no tag stays.
fn without_tags(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        let (text, tag) = rest.split_at(open);
        out.push_str(text);
        let Some(close) = tag.find('>') else {
            out.push_str(tag.trim_start_matches('<'));
            return out;
        };
        out.push(' ');
        rest = &tag[close + 1..];
    }
    out.push_str(rest);
    out
}
