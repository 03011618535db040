//! The built-in agent through its whole loop: utterance, tool call, real tool, answer.

use std::sync::Arc;

use floe::agent::{
    Delta, Message,
    offline::Offline,
    tools::{
        Context, Effect, Registry, Tool, calculator::Calculator, recall::Recall, summary::Summary, time::TimeTool,
        timer::Timer,
    },
};
use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::{all, request, text_of};

/// The tools, on Monday, 23 November 2026, five past two in the afternoon in New York.
pub(super) fn registry() -> Registry {
    let now: Timestamp = "2026-11-23T19:05:00Z".parse().unwrap();
    let zone = TimeZone::get("America/New_York").unwrap();
    let tools: Vec<Arc<dyn Tool>> = vec![
        Arc::new(TimeTool::new(zone, Arc::new(move || now))),
        Arc::new(Calculator),
        Arc::new(Timer),
        Arc::new(Recall),
        Arc::new(Summary),
    ];
    Registry::new(tools)
}

/// A conversation with the agent.
#[derive(Default)]
struct Talk {
    history: Vec<Message>,
    effects: Vec<Effect>,
    /// Names of the tools called for the last answer.
    called: Vec<String>,
}

impl Talk {
    /// Says something; gives the answer.
    async fn say(&mut self, text: &str) -> String {
        let registry = registry();
        self.history.push(Message::User(text.into()));
        self.called.clear();
        loop {
            let deltas = all(&Offline::new(), request(self.history.clone(), registry.specs())).await;
            assert!(matches!(deltas.last(), Some(Ok(Delta::Finished { .. }))));
            let call = deltas.iter().find_map(|delta| match delta {
                Ok(Delta::ToolCall { name, arguments }) => Some((name.clone(), arguments.clone())),
                _ => None,
            });
            let Some((name, arguments)) = call else {
                let answer = text_of(&deltas);
                self.history.push(Message::Assistant(answer.as_str().into()));
                return answer;
            };
            assert!(self.called.is_empty(), "the agent calls for ever");
            self.called.push(name.to_string());
            let id: Arc<str> = format!("c{}", self.history.len()).into();
            let context = Context { messages: self.history.clone().into() };
            self.history.push(Message::ToolCall { id: id.clone(), name: name.clone(), arguments: arguments.clone() });
            let output = match registry.call(&name, &arguments, context).await {
                Ok(output) => {
                    self.effects.extend(output.effects);
                    output.text
                }
                Err(error) => error.to_string(),
            };
            self.history.push(Message::ToolOutput { id, output: output.into() });
        }
    }
}

/// Utterance, tool ("" = none), answer.
const TABLE: &[(&str, &str, &str)] = &[
    // As the bundled recogniser writes.
    ("what time is it", "time", "It is 2:05 PM."),
    ("what is the time", "time", "It is 2:05 PM."),
    ("what time is it in tokyo", "time", "It is 4:05 AM in Tokyo."),
    ("what is the time in new york please", "time", "It is 2:05 PM in New York."),
    ("tell me the time in san francisco", "time", "It is 11:05 AM in San Francisco."),
    ("what is the time in atlantis", "time", "I do not know the time zone of that place."),
    ("what is the date today", "time", "Today is Monday, November 23, 2026."),
    ("what is the date yesterday", "time", "Yesterday was Sunday, November 22, 2026."),
    ("what is the date tomorrow", "time", "Tomorrow is Tuesday, November 24, 2026."),
    ("what is the date in ten days", "time", "In 10 days it is Thursday, December 3, 2026."),
    ("what day is it", "time", "Today is Monday."),
    ("what day is tomorrow", "time", "Tomorrow is Tuesday."),
    ("what year is it", "time", "It is 2026."),
    ("what is the month", "time", "It is November 2026."),
    ("what is twenty divided by sixteen", "calculator", "20 divided by 16 is 1.25."),
    ("how much is eight percent of one", "calculator", "8 percent of 1 is 0.08."),
    ("what is two plus two", "calculator", "2 plus 2 is 4."),
    ("what is ten divided by three", "calculator", "10 divided by 3 is about 3.3333."),
    ("what is one hundred and five times three", "calculator", "105 times 3 is 315."),
    ("what is the square root of sixteen", "calculator", "The square root of 16 is 4."),
    ("what is seven divided by zero", "calculator", "That has no result, or one too large for me."),
    ("subtract five from twenty please", "calculator", "20 minus 5 is 15."),
    ("what is two point five times four", "calculator", "2.5 times 4 is 10."),
    ("how many minute in ten minute", "calculator", "10 minutes is 10 minutes."),
    ("how many seconds are there in an hour", "calculator", "1 hour is 3600 seconds."),
    ("set a timer for ten minutes", "timer", "Okay, 10 minutes from now."),
    ("set a timer for thirty second", "timer", "Okay, 30 seconds from now."),
    ("set a timer for an hour and a half", "timer", "Okay, 1 hour and 30 minutes from now."),
    ("set a timer for two and a half hours", "timer", "Okay, 2 hours and 30 minutes from now."),
    ("start a timer of half an hour", "timer", "Okay, 30 minutes from now."),
    ("set a timer for thirteen day", "timer", "I can set timers from 1 second to 7 days."),
    ("remind me in five minutes to call sarah", "timer", "Okay, I will remind you in 5 minutes."),
    ("cancel the timer", "timer", "Okay, all timers are cancelled."),
    ("set a timer", "", "For how long? Say, for example: ten minutes."),
    ("repeat that please", "recall", "I have not said anything yet."),
    ("what did i say", "recall", "I remember nothing like that from you."),
    ("summarize the meeting", "summary", "We have not talked about anything yet."),
    ("hello", "", "Hello! How can I help you?"),
    ("good evening", "", "Good evening! How can I help you?"),
    ("good night", "", "Good night!"),
    ("thank you very much", "", "You are welcome."),
    ("goodbye", "", "Goodbye!"),
    ("yes please", "", "Okay. What would you like to know?"),
    ("no", "", "Okay."),
    // As larger recognisers and keyboards write.
    ("Hello, what's the time?", "time", "It is 2:05 PM."),
    ("What's today's date?", "time", "Today is Monday, November 23, 2026."),
    ("What's 20 divided by 16?", "calculator", "20 divided by 16 is 1.25."),
    ("What is 1,250 + 3?", "calculator", "1250 plus 3 is 1253."),
    ("2+2", "calculator", "2 plus 2 is 4."),
    ("How much is 8% of 50?", "calculator", "8 percent of 50 is 4."),
    ("Set a timer for 90 seconds.", "timer", "Okay, 1 minute and 30 seconds from now."),
    ("Thanks!", "", "You are welcome."),
    ("Remind me to call my mother in 2 hours.", "timer", "Okay, I will remind you in 2 hours."),
];

#[tokio::test]
async fn every_utterance_has_its_answer() {
    for (said, tool, answer) in TABLE {
        let mut talk = Talk::default();
        assert_eq!(talk.say(said).await, *answer, "to {said:?}");
        assert_eq!(talk.called.concat(), *tool, "for {said:?}");
    }
}

/// What needs a language model: said plainly, with what was heard.
const BEYOND: &[&str] = &[
    "tell me about family",
    "that is not dark",
    "how far is tokyo from chicago",
    "what is the number of my father",
    "there are one year in this days",
    "read my list",
    "louder please",
    "I am big",
    "what is the weather in madrid",
    "what is the weather in boston sunday",
    "close the radio",
    "call sarah",
    "is it bright outside",
    "add paper and chicken to my shopping list",
    "can you call me back monday",
    "I need a slow fan",
    "what is the news about travel",
    "what is",
    "time flies",
    "how many times",
    "one two three",
];

#[tokio::test]
async fn what_is_beyond_it_is_said_plainly() {
    for said in BEYOND {
        let mut talk = Talk::default();
        let first = talk.say(said).await;
        assert!(
            first.starts_with(&format!("I heard: {said}. There is no language model configured")),
            "{said}: {first}"
        );
        let second = talk.say(said).await;
        assert_eq!(second, format!("I heard: {said}. There is no language model to answer that."));
    }
    let help = Talk::default().say("can you help me").await;
    assert!(help.contains("set timers") && help.contains("language model"), "{help}");
}

#[tokio::test]
async fn a_timer_announces_itself_and_asks_for_its_length() {
    let mut talk = Talk::default();
    talk.say("set a timer").await;
    assert_eq!(talk.say("ten minutes").await, "Okay, 10 minutes from now.");
    assert_eq!(talk.say("remind me to call my mother in 2 hours").await, "Okay, I will remind you in 2 hours.");
    let announced: Vec<(u64, &str)> = talk
        .effects
        .iter()
        .map(|effect| match effect {
            Effect::Announce { after, text } => (after.as_secs(), text.as_str()),
            Effect::CancelAnnouncements => panic!("nothing was cancelled"),
        })
        .collect();
    let timer = "Time is up: your timer for 10 minutes is over.";
    assert_eq!(announced, [(600, timer), (7_200, "You asked me to remind you: call your mother.")]);
    // Without the question, a duration alone is nothing.
    assert!(Talk::default().say("ten minutes").await.starts_with("I heard: ten minutes."));
}

#[tokio::test]
async fn it_remembers_what_was_said() {
    let mut talk = Talk::default();
    talk.say("what is two plus two").await;
    assert_eq!(talk.say("repeat that please").await, "2 plus 2 is 4.");
    talk.say("tell me about travel").await;
    assert_eq!(talk.say("what did i say").await, "You said: tell me about travel.");
    assert_eq!(talk.say("What did you say about two plus two?").await, "I said: 2 plus 2 is 4.");
    talk.say("find the document about travel").await;
    let summary = talk.say("summarize the meeting").await;
    assert!(summary.starts_with("So far you spoke 6 times. It was mostly about"), "{summary}");
    assert!(summary.contains("You said: tell me about travel."), "{summary}");
}

#[tokio::test]
async fn a_tool_that_is_not_offered_is_not_called() {
    let deltas = all(&Offline::new(), request(vec![Message::User("what time is it".into())], Vec::new())).await;
    assert!(text_of(&deltas).contains("switched off"));
    let deltas = all(&Offline::new(), request(Vec::new(), registry().specs())).await;
    assert_eq!(text_of(&deltas), "Hello! How can I help you?");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_has_an_answer(text in prop_oneof![".{0,80}", utterance(), ".{1000,1100}"]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answer = runtime.block_on(Talk::default().say(&text));
        prop_assert!(!answer.trim().is_empty());
    }
}

/// Words of the domain in any order, which reach deeper into the parsers than letters do.
fn utterance() -> impl Strategy<Value = String> {
    let words: Vec<&str> =
        TABLE.iter().flat_map(|(said, ..)| said.split(' ')).chain(["²", "1e9", ".", "half", "ago", "%"]).collect();
    prop::collection::vec(prop::sample::select(words), 0..14).prop_map(|words| words.join(" "))
}
