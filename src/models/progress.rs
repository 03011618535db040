//! What somebody who waits for a download is shown.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Is told how a download goes on. Called often, so it must be quick.
pub trait Progress: Sync {
    /// A file begins, of which so much is here already.
    fn begin(&self, file: &str, total_bytes: u64, here_bytes: u64);
    /// So much is here now.
    fn at(&self, here_bytes: u64);
    /// Something worth a line.
    fn note(&self, text: &str);
    /// The file is complete, or given up.
    fn end(&self);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64, _: u64) {}
    fn at(&self, _: u64) {}
    fn note(&self, _: &str) {}
    fn end(&self) {}
}

/// A bar on a terminal, else a line every few seconds; both on standard error.
pub fn on_standard_error() -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() { Box::new(Bar::default()) } else { Box::new(Lines::default()) }
}

/// A bar with speed and time left.
#[derive(Default)]
struct Bar(Mutex<Option<ProgressBar>>);

impl Bar {
    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        if let Ok(bar) = self.0.lock()
            && let Some(bar) = bar.as_ref()
        {
            act(bar);
        }
    }
}

impl Progress for Bar {
    fn begin(&self, file: &str, total_bytes: u64, here_bytes: u64) {
        let bar = ProgressBar::new(total_bytes).with_message(file.to_owned());
        let template = "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_position(here_bytes);
        bar.reset_eta();
        if let Ok(mut slot) = self.0.lock() {
            *slot = Some(bar);
        }
    }

    fn at(&self, here_bytes: u64) {
        self.with(|bar| bar.set_position(here_bytes));
    }

    fn note(&self, text: &str) {
        self.with(|bar| bar.println(text));
    }

    fn end(&self) {
        self.with(ProgressBar::finish_and_clear);
    }
}

/// A line now and then, for logs.
#[derive(Default)]
struct Lines(Mutex<Option<Line>>);

struct Line {
    file: String,
    total_bytes: u64,
    said: Instant,
}

/// Time between two lines.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

#[expect(clippy::disallowed_methods, reason = "lines for a person who waits come by the clock")]
fn now() -> Instant {
    Instant::now()
}

fn say(text: &str) {
    let _closed = writeln!(std::io::stderr(), "{text}");
}

impl Progress for Lines {
    fn begin(&self, file: &str, total_bytes: u64, here_bytes: u64) {
        say(&format!("{file}: {} MB, {} MB of them here", total_bytes / 1_000_000, here_bytes / 1_000_000));
        if let Ok(mut slot) = self.0.lock() {
            *slot = Some(Line { file: file.to_owned(), total_bytes, said: now() });
        }
    }

    fn at(&self, here_bytes: u64) {
        if let Ok(mut slot) = self.0.lock()
            && let Some(line) = slot.as_mut()
            && line.said.elapsed() >= BETWEEN_LINES
        {
            line.said = now();
            let percent = 100 * here_bytes / line.total_bytes.max(1);
            say(&format!("{}: {} MB, {percent} %", line.file, here_bytes / 1_000_000));
        }
    }

    fn note(&self, text: &str) {
        say(text);
    }

    fn end(&self) {}
}
