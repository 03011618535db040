//! The time and the date, here or elsewhere, today or some days away.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::{Span, Timestamp, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, Error, Output, Tool, ToolSpec, parse, ready, zones};

/// Tells the time; tests bring their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's clock.
pub fn wall_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// The tool `time`.
pub struct TimeTool {
    zone: TimeZone,
    clock: Clock,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Arguments {
    time_zone: String,
    days: i64,
}

/// Days away, either way, at most: about a thousand years.
const DAYS_MAX: i64 = 366_000;

impl TimeTool {
    /// Answers for `zone` unless asked for another.
    pub fn new(zone: TimeZone, clock: Clock) -> Self {
        Self { zone, clock }
    }

    fn answer(&self, arguments: Value) -> Result<Output, Error> {
        let Arguments { time_zone, days } = parse(arguments)?;
        let zone = match time_zone.trim() {
            "" => self.zone.clone(),
            name => zones::named(name).ok_or_else(|| Error("I do not know the time zone of that place.".into()))?,
        };
        let too_far = || Error("That day is too far away.".into());
        if days.abs() > DAYS_MAX {
            return Err(too_far());
        }
        let span = Span::new().try_days(days).map_err(|_| too_far())?;
        let then = (self.clock)().to_zoned(zone).checked_add(span).map_err(|_| too_far())?;
        Ok(super::json(&json!({
            "time": then.strftime("%-I:%M %p").to_string(),
            "weekday": then.strftime("%A").to_string(),
            "date": then.strftime("%B %-d, %Y").to_string(),
            "iso": then.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            "time_zone": then.time_zone().iana_name(),
        })))
    }
}

impl Tool for TimeTool {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "time".into(),
            description:
                "The current time, weekday and date, in the user's time zone or another; or those some days away."
                    .into(),
            parameters: r#"{"type":"object","properties":{
                "time_zone":{"type":"string","description":"IANA name or a city; empty for the user's own"},
                "days":{"type":"integer","description":"days from today: 1 is tomorrow, -1 yesterday"}
            },"additionalProperties":false}"#
                .into(),
        }
    }

    fn call(&self, arguments: Value, _: Context) -> BoxFuture<'static, Result<Output, Error>> {
        ready(self.answer(arguments))
    }
}
