//! What the user wants, as far as it can be told without a language model.

use super::{
    arithmetic::{self, Sum},
    duration,
    when::{self, When},
    words::{all_of, find, holds},
};

/// What the user wants.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Intent {
    /// The time or the date.
    When(When),
    /// A result.
    Sum(Sum),
    /// A timer over so many seconds, or a reminder.
    SetTimer { seconds: f64, label: String },
    /// A timer, but nobody said how long.
    AskDuration,
    /// No timers any more.
    CancelTimers,
    /// The assistant's last words again.
    Repeat,
    /// What the user said last, or said about something.
    RecallUser { query: String },
    /// What the assistant said about something.
    RecallAssistant { query: String },
    /// The main points so far.
    Summary,
    /// A greeting; the word is given back.
    Greeting(&'static str),
    /// Thanks.
    Thanks,
    /// A farewell; the word is given back.
    Farewell(&'static str),
    /// How are you.
    HowAreYou,
    /// What can you do.
    Help,
    /// Yes.
    Yes,
    /// No, stop, never mind.
    No,
    /// Something for a language model.
    Other,
}

/// Said around anything.
const POLITE: &[&str] = &[
    "please", "hey", "hi", "hello", "so", "okay", "ok", "well", "um", "uh", "oh", "and", "now", "there", "floe", "you",
    "thanks", "then", "just", "again", "my", "friend", "everyone", "sir", "dear", "very", "much", "so", "a", "lot",
    "thank", "for", "that", "all", "the", "help",
];

/// What `words` ask for. `asked_duration`: the assistant has just asked how long a timer is to run.
pub(super) fn parse(words: &[String], asked_duration: bool) -> Intent {
    timer(words, asked_duration)
        .or_else(|| memory(words))
        .or_else(|| when::parse(words).map(Intent::When))
        .or_else(|| arithmetic::parse(words).map(Intent::Sum))
        .or_else(|| social(words))
        .unwrap_or(Intent::Other)
}

fn timer(words: &[String], asked_duration: bool) -> Option<Intent> {
    let has = |word: &str| words.iter().any(|one| one == word);
    let reminds = holds(words, "remind me") || holds(words, "wake me");
    let named = ["timer", "timers", "alarm", "alarms", "reminder", "reminders"].iter().any(|word| has(word));
    if !named && !reminds {
        let seconds = duration::seconds(words).filter(|_| asked_duration && words.len() <= 8)?;
        return Some(Intent::SetTimer { seconds, label: String::new() });
    }
    if named && ["cancel", "stop", "delete", "clear", "remove", "off", "forget"].iter().any(|word| has(word)) {
        return Some(Intent::CancelTimers);
    }
    let sets =
        ["set", "start", "make", "begin", "create", "need", "want", "give", "add", "put"].iter().any(|word| has(word));
    match duration::seconds(words) {
        Some(seconds) => Some(Intent::SetTimer { seconds, label: if reminds { label(words) } else { String::new() } }),
        None if sets || reminds || words.len() <= 2 => Some(Intent::AskDuration),
        None => None,
    }
}

/// `remind me in ten minutes to call sarah` and `remind me to call sarah in ten minutes`: `call sarah`.
fn label(words: &[String]) -> String {
    let Some(start) = find(words, "to") else { return String::new() };
    let rest = &words[start..];
    let end = rest.iter().rposition(|word| word == "in").filter(|at| duration::seconds(&rest[*at..]).is_some());
    rest[..end.unwrap_or(rest.len())].join(" ").replace(" my ", " your ")
}

fn memory(words: &[String]) -> Option<Intent> {
    let has = |word: &str| words.iter().any(|one| one == word);
    let about = || find(words, "about").map(|at| words[at..].join(" ")).unwrap_or_default();
    if ["summarize", "summarise", "summary", "recap"].iter().any(|word| has(word)) || holds(words, "sum up") {
        return Some(Intent::Summary);
    }
    let mine = [
        "did i say",
        "did i just say",
        "did i ask",
        "did i just ask",
        "did i tell",
        "have i said",
        "i said last",
        "my last question",
        "my question",
        "i was saying",
        "i just said",
        "i just say",
    ];
    let asks = has("what") || has("remember") || has("repeat") || has("recall");
    if asks && mine.iter().any(|phrase| holds(words, phrase)) {
        return Some(Intent::RecallUser { query: about() });
    }
    let yours = ["did you say", "did you just say", "have you said", "you said", "did you tell", "your last answer"];
    if asks && yours.iter().any(|phrase| holds(words, phrase)) {
        let query = about();
        return Some(if query.is_empty() { Intent::Repeat } else { Intent::RecallAssistant { query } });
    }
    let again = [
        "repeat that",
        "repeat it",
        "repeat please",
        "say that again",
        "say it again",
        "once more",
        "one more time",
        "1 more time",
        "come again",
        "pardon",
        "pardon me",
        "i did not hear",
        "i did not understand",
        "repeat the answer",
    ];
    let is_repeat =
        again.iter().any(|phrase| holds(words, phrase)) || all_of(words, &["repeat", "please", "can", "you", "again"]);
    (is_repeat && words.len() <= 8).then_some(Intent::Repeat)
}

fn social(words: &[String]) -> Option<Intent> {
    let only = |extra: &[&str]| {
        words.iter().any(|word| extra.contains(&word.as_str()))
            && words.iter().all(|word| extra.contains(&word.as_str()) || POLITE.contains(&word.as_str()))
    };
    let short = words.len() <= 8;
    if only(&["morning", "good"]) && holds(words, "good morning") {
        return Some(Intent::Greeting("Good morning"));
    }
    if only(&["evening", "good"]) && holds(words, "good evening") {
        return Some(Intent::Greeting("Good evening"));
    }
    if only(&["afternoon", "day", "good"]) && (holds(words, "good afternoon") || holds(words, "good day")) {
        return Some(Intent::Greeting("Hello"));
    }
    if only(&["night", "good", "goodnight"]) && (holds(words, "good night") || holds(words, "goodnight")) {
        return Some(Intent::Farewell("Good night"));
    }
    if only(&["goodbye", "bye", "good", "see", "later", "soon", "tomorrow", "farewell"])
        && ["goodbye", "bye", "good bye", "see you", "farewell"].iter().any(|phrase| holds(words, phrase))
    {
        return Some(Intent::Farewell("Goodbye"));
    }
    if short && (holds(words, "how are you") || holds(words, "how do you do")) {
        return Some(Intent::HowAreYou);
    }
    let can =
        ["what can you do", "what do you do", "who are you", "what are you", "can you help", "help me", "need help"];
    if short && (can.iter().any(|phrase| holds(words, phrase)) || all_of(words, &["help", "please"])) {
        return Some(Intent::Help);
    }
    if only(&["thanks", "thank"]) {
        return Some(Intent::Thanks);
    }
    if only(&["hello", "hi", "hey"]) {
        return Some(Intent::Greeting("Hello"));
    }
    if only(&["yes", "yeah", "yep", "sure", "okay", "ok", "right", "fine", "good", "great", "of", "course", "correct"])
    {
        return Some(Intent::Yes);
    }
    only(&["no", "nope", "stop", "cancel", "never", "mind", "nothing", "not", "quiet"]).then_some(Intent::No)
}
