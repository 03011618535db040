//! The built-in agent's words.

use serde_json::Value;

use super::{Message, intent::Intent, when::Part};

/// How it asks for the length of a timer; recognised in the history.
pub(super) const ASK_DURATION: &str = "For how long?";

/// Recognised in the history: who has heard this once need not hear it in full again.
const NO_MODEL: &str = "no language model";

/// Characters of the user's words that are repeated to him.
const HEARD_CHARS_MAX: usize = 120;

/// The answer to an intent, from what its tool gave. A failed tool gives a sentence, which is said as it is.
pub(super) fn of_output(intent: &Intent, output: &str) -> String {
    let Ok(value @ Value::Object(_)) = serde_json::from_str::<Value>(output) else {
        return if output.trim().is_empty() { "I could not find that out.".into() } else { output.to_owned() };
    };
    let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    match intent {
        Intent::When(when) => {
            let place = if when.place.is_empty() { String::new() } else { format!(" in {}", titled(&when.place)) };
            let (weekday, date) = (field("weekday"), field("date"));
            let (month, year) =
                (date.split(' ').next().unwrap_or_default(), date.rsplit(' ').next().unwrap_or_default());
            match (when.part, day(when.days)) {
                (Part::Time, _) => format!("It is {}{place}.", field("time")),
                (Part::Month, _) => format!("It is {month} {year}."),
                (Part::Year, _) => format!("It is {year}."),
                (Part::Weekday, (day, verb)) => format!("{day}{place} {verb} {weekday}."),
                (Part::Date, (day, verb)) => format!("{day}{place} {verb} {weekday}, {date}."),
            }
        }
        Intent::Sum(sum) => {
            let about = if value.get("exact") == Some(&Value::Bool(false)) { "about " } else { "" };
            let result = field("result");
            let unit = match (&*sum.unit, result) {
                ("", _) => String::new(),
                (unit, "1") => format!(" {unit}"),
                (unit, _) => format!(" {unit}s"),
            };
            format!("{} is {about}{result}{unit}.", capital(&sum.spoken))
        }
        Intent::SetTimer { .. } if field("label").is_empty() => format!("Okay, {} from now.", field("set")),
        Intent::SetTimer { .. } => format!("Okay, I will remind you in {}.", field("set")),
        Intent::CancelTimers => "Okay, all timers are cancelled.".into(),
        Intent::Repeat => said(&value, "", "I have not said anything yet."),
        Intent::RecallUser { .. } => said(&value, "You said: ", "I remember nothing like that from you."),
        Intent::RecallAssistant { .. } => said(&value, "I said: ", "I remember saying nothing like that."),
        Intent::Summary => summary(&value),
        _ => output.to_owned(),
    }
}

/// The answer to an intent that needs no tool. `text`: the user's words, of which `before` is the history up to and with.
pub(super) fn without_tool(intent: &Intent, text: &str, before: &[Message]) -> String {
    match intent {
        Intent::AskDuration => format!("{ASK_DURATION} Say, for example: ten minutes."),
        Intent::Greeting(word) => format!("{word}! How can I help you?"),
        Intent::Thanks => "You are welcome.".into(),
        Intent::Farewell(word) => format!("{word}!"),
        Intent::HowAreYou => "I am fine, thank you. How can I help you?".into(),
        Intent::Help => {
            "I can tell you the time and the date, calculate, set timers, repeat what was said, and sum up our conversation. \
             For anything else I need a language model, and none is configured."
                .into()
        }
        Intent::Yes => "Okay. What would you like to know?".into(),
        Intent::No => "Okay.".into(),
        _ => {
            let heard = heard(text);
            let has_said = |message: &Message| matches!(message, Message::Assistant(said) if said.contains(NO_MODEL));
            if before.iter().any(has_said) {
                format!("I heard: {heard}. There is {NO_MODEL} to answer that.")
            } else {
                format!(
                    "I heard: {heard}. There is {NO_MODEL} configured, so I can only tell the time and the date, calculate, set \
                     timers, and recall what was said."
                )
            }
        }
    }
}

/// The user's words as they can stand in a sentence of ours.
fn heard(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_end_matches(['.', '?', '!', ',', ';', ':']);
    match text.char_indices().nth(HEARD_CHARS_MAX) {
        Some((end, _)) => format!("{} and so on", &text[..text[..end].rfind(' ').unwrap_or(end)]),
        None => text.to_owned(),
    }
}

/// A day and its verb.
fn day(days: i64) -> (String, &'static str) {
    match days {
        0 => ("Today".into(), "is"),
        1 => ("Tomorrow".into(), "is"),
        -1 => ("Yesterday".into(), "was"),
        days if days > 0 => (format!("In {days} days it"), "is"),
        days => (format!("{} days ago it", days.unsigned_abs()), "was"),
    }
}

/// The first match of a recall.
fn said(value: &Value, before: &str, nothing: &str) -> String {
    let text = value.pointer("/matches/0/text").and_then(Value::as_str);
    text.map_or_else(|| nothing.to_owned(), |text| format!("{before}{}", sentence(text)))
}

fn summary(value: &Value) -> String {
    let turns = value.get("turns").and_then(Value::as_u64).unwrap_or(0);
    if turns == 0 {
        return "We have not talked about anything yet.".into();
    }
    let mut text =
        if turns == 1 { "So far you spoke once. ".to_owned() } else { format!("So far you spoke {turns} times. ") };
    let strings = |name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let topics: Vec<String> = strings("topics").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if !topics.is_empty() {
        text.push_str(&format!("It was mostly about {}. ", topics.join(" and ")));
    }
    for point in strings("points") {
        let part = |name: &str| point.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        text.push_str(&format!("You said: {} ", sentence(&part("user"))));
        let answer = part("answer");
        // That we could not answer is no point of the conversation.
        if !answer.is_empty() && !answer.starts_with("I heard:") {
            text.push_str(&format!("I said: {} ", sentence(&answer)));
        }
    }
    text.trim_end().to_owned()
}

/// With a full stop, unless it ends like a sentence.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// With a capital first.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Every word with a capital.
fn titled(text: &str) -> String {
    text.split(' ').map(capital).collect::<Vec<_>>().join(" ")
}
