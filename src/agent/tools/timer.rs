//! A timer: the assistant speaks up when it is over.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, Effect, Error, Output, Tool, ToolSpec, parse, ready};

/// The tool `timer`. It only asks for the announcement ([`Effect::Announce`]); the session makes it, as long as it lives.
pub struct Timer;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Arguments {
    days: f64,
    hours: f64,
    minutes: f64,
    seconds: f64,
    label: String,
    cancel: bool,
}

/// Shortest timer.
const SECONDS_MIN: f64 = 1.0;
/// Longest timer: 7 days.
const SECONDS_MAX: f64 = 7.0 * 86_400.0;
/// Longest label.
const LABEL_CHARS_MAX: usize = 200;

fn answer(arguments: Value) -> Result<Output, Error> {
    let Arguments { days, hours, minutes, seconds, label, cancel } = parse(arguments)?;
    if cancel {
        let text = json!({"cancelled": "all timers"}).to_string();
        return Ok(Output { text, effects: vec![Effect::CancelAnnouncements] });
    }
    let seconds = (days * 86_400.0 + hours * 3_600.0 + minutes * 60.0 + seconds).round();
    if !(SECONDS_MIN..=SECONDS_MAX).contains(&seconds) {
        return Err(Error("I can set timers from 1 second to 7 days.".into()));
    }
    let after = Duration::try_from_secs_f64(seconds).map_err(|_| Error("I cannot set such a timer.".into()))?;
    let duration = spoken(after);
    let label: String = label.trim().chars().take(LABEL_CHARS_MAX).collect();
    let text = match &*label {
        "" => format!("Time is up: your timer for {duration} is over."),
        label => format!("You asked me to remind you: {label}."),
    };
    let set = json!({"set": duration, "label": label}).to_string();
    Ok(Output { text: set, effects: vec![Effect::Announce { after, text }] })
}

/// A duration in whole seconds as one says it: `1 hour and 30 minutes`.
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3_600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") })
        .collect();
    match parts.split_last() {
        None => "0 seconds".into(),
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
    }
}

impl Tool for Timer {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "timer".into(),
            description: "Sets a timer or reminder from 1 second to 7 days, after which the assistant speaks up by itself; or \
                cancels all of them."
                .into(),
            parameters: r#"{"type":"object","properties":{
                "days":{"type":"number"},"hours":{"type":"number"},"minutes":{"type":"number"},"seconds":{"type":"number"},
                "label":{"type":"string","description":"what to remind of; empty for a plain timer"},
                "cancel":{"type":"boolean","description":"true cancels all timers"}
            },"additionalProperties":false}"#
                .into(),
        }
    }

    fn call(&self, arguments: Value, _: Context) -> BoxFuture<'static, Result<Output, Error>> {
        ready(answer(arguments))
    }
}
