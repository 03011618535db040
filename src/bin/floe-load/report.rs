//! Histograms of what the callers met, as a table and as JSON.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use floe::{caller, protocol::native::wire::ReplyStatus};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::{
    callers::Done,
    limit::{FIGURES, Limit, QUANTILES},
};

/// Longest time that a histogram tells apart, in microseconds: an hour.
const MAX_US: u64 = 3_600_000_000;

/// Everything so far.
pub(crate) struct Report {
    callers: u32,
    duration: Duration,
    limits: Vec<Limit>,
    figures: Vec<Histogram<u64>>,
    calls: u64,
    dropped: u64,
    frames: caller::Frames,
    stale_frames: u64,
    errors: BTreeMap<String, u64>,
    interrupted: bool,
}

impl Report {
    pub(crate) fn new(callers: u32, duration: Duration, limits: &[Limit]) -> Self {
        #[expect(clippy::expect_used, reason = "constant bounds: 1 µs to an hour with three digits")]
        let histogram = || Histogram::new_with_bounds(1, MAX_US, 3).expect("valid bounds");
        Self {
            callers,
            duration,
            limits: limits.to_vec(),
            figures: FIGURES.iter().map(|_| histogram()).collect(),
            calls: 0,
            dropped: 0,
            frames: caller::Frames::default(),
            stale_frames: 0,
            errors: BTreeMap::new(),
            interrupted: false,
        }
    }

    /// Takes a call that is over. What was seen before an error counts too.
    pub(crate) fn add(&mut self, done: &Done) {
        self.calls += 1;
        let report = match &done.result {
            Ok(report) => report,
            Err(failed) => {
                self.error(failed.error.kind());
                &failed.report
            }
        };
        self.dropped += u64::from(report.dropped);
        self.figure("connect", report.connect);
        for turn in &report.turns {
            self.figure("first_partial", turn.first_partial);
            self.figure("final", turn.final_after);
            if turn.failed {
                self.error("transcription_failed");
            }
        }
        for reply in &report.replies {
            self.figure("first_text", reply.first_text);
            self.figure("first_audio", reply.first_audio);
            self.stale_frames += reply.stale_frames;
            if reply.stale_frames > 0 {
                self.error("audio_after_interruption");
            }
            if reply.status == Some(ReplyStatus::Failed) {
                self.error("reply_failed");
            }
        }
        self.figure("barge_in", report.barge_in);
        self.frames.received += report.frames.received;
        self.frames.late += report.frames.late;
        self.frames.missing += report.frames.missing;
        if report.frames.missing > 0 {
            self.error("missing_frames");
        }
        if done.result.is_ok() && !report.dropped {
            let said = |turn: &caller::Turn| turn.text.as_deref().is_some_and(|text| !text.is_empty());
            if !report.turns.iter().any(said) {
                self.error("nothing_understood");
            } else if done.wanted_barge_in && report.barge_in.is_none() {
                // Replies shorter than the moment of the barge-in are no fault of the server.
                let long = |reply: &caller::Reply| reply.audio > Duration::from_secs(3);
                if report.replies.iter().any(long) {
                    self.error("not_interrupted");
                }
            }
        }
    }

    fn figure(&mut self, name: &str, value: Option<Duration>) {
        let place = FIGURES.iter().position(|figure| *figure == name);
        if let (Some(place), Some(value)) = (place, value) {
            self.figures[place].saturating_record(u64::try_from(value.as_micros()).unwrap_or(MAX_US).max(1));
        }
    }

    fn error(&mut self, kind: &str) {
        *self.errors.entry(kind.to_owned()).or_default() += 1;
    }

    /// A caller's task broke.
    pub(crate) fn panicked(&mut self) {
        self.error("caller_panicked");
    }

    /// Ctrl-C: this is the report so far.
    pub(crate) const fn interrupted(&mut self) {
        self.interrupted = true;
    }

    /// No more will come.
    pub(crate) const fn finish(&mut self, took: Duration) {
        self.duration = took;
    }

    /// A few words for the progress line.
    pub(crate) fn line(&self) -> String {
        format!("{} calls done · {} errors · {} frames late", self.calls, self.error_count(), self.frames.late)
    }

    fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Limits that were missed. One on a figure that was never measured is missed.
    fn missed(&self) -> Vec<&Limit> {
        let exceeded = |limit: &&Limit| {
            let figure = &self.figures[limit.figure];
            figure.is_empty() || self.quantile(limit.figure, limit.quantile) > limit.at_most
        };
        self.limits.iter().filter(exceeded).collect()
    }

    fn quantile(&self, figure: usize, quantile: usize) -> Duration {
        Duration::from_micros(self.figures[figure].value_at_quantile(QUANTILES[quantile].1))
    }

    /// No error, at least one call, and no limit missed.
    pub(crate) fn is_good(&self) -> bool {
        self.calls > 0 && self.errors.is_empty() && self.missed().is_empty()
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        self.write_table(&mut text).map_or_else(|_| String::new(), |()| text)
    }

    fn write_table(&self, out: &mut String) -> std::fmt::Result {
        let so_far = if self.interrupted { " (interrupted)" } else { "" };
        writeln!(out, "{} callers, {:.1} s{so_far}", self.callers, self.duration.as_secs_f64())?;
        writeln!(out, "{} calls, {} of them dropped on purpose\n", self.calls, self.dropped)?;
        write!(out, "{:<16}{:>8}", "milliseconds", "count")?;
        for (name, _) in QUANTILES {
            write!(out, "{name:>9}")?;
        }
        writeln!(out)?;
        for (index, name) in FIGURES.iter().enumerate() {
            write!(out, "{name:<16}{:>8}", self.figures[index].len())?;
            for quantile in 0..QUANTILES.len() {
                if self.figures[index].is_empty() {
                    write!(out, "{:>9}", "-")?;
                } else {
                    write!(out, "{:>9}", self.quantile(index, quantile).as_millis())?;
                }
            }
            writeln!(out)?;
        }
        let caller::Frames { received, late, missing } = self.frames;
        writeln!(out, "\nframes of speech: {received} received, {late} late, {missing} missing")?;
        if self.errors.is_empty() {
            writeln!(out, "no errors")?;
        }
        for (kind, count) in &self.errors {
            writeln!(out, "error {kind}: {count}")?;
        }
        for limit in self.missed() {
            writeln!(out, "limit missed: {}", limit.text)?;
        }
        Ok(())
    }

    /// For programs. Times in milliseconds.
    pub(crate) fn json(&self) -> Value {
        let figure = |index: usize| {
            let mut values = serde_json::Map::new();
            values.insert("count".to_owned(), self.figures[index].len().into());
            if !self.figures[index].is_empty() {
                for (place, (name, _)) in QUANTILES.iter().enumerate() {
                    let ms = self.quantile(index, place).as_secs_f64() * 1000.0;
                    values.insert((*name).to_owned(), json!((ms * 10.0).round() / 10.0));
                }
            }
            Value::Object(values)
        };
        let figures: serde_json::Map<_, _> =
            FIGURES.iter().enumerate().map(|(index, name)| ((*name).to_owned(), figure(index))).collect();
        json!({
            "callers": self.callers,
            "duration_s": self.duration.as_secs_f64(),
            "interrupted": self.interrupted,
            "calls": self.calls,
            "dropped": self.dropped,
            "latency_ms": figures,
            "frames": {
                "received": self.frames.received,
                "late": self.frames.late,
                "missing": self.frames.missing,
                "after_interruption": self.stale_frames,
            },
            "errors": self.errors,
            "limits_missed": self.missed().iter().map(|limit| limit.text.as_str()).collect::<Vec<_>>(),
            "ok": self.is_good(),
        })
    }
}
