//! The server's tools, called as a model calls them: by name, with JSON text.

use floe::agent::{
    Config, Message,
    tools::{Context, Effect, Error, Output, Registry, calculator, server_tools},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::offline::registry;

async fn call(name: &str, arguments: &str, messages: Vec<Message>) -> Result<Output, Error> {
    registry().call(name, arguments, Context { messages: messages.into() }).await
}

async fn json_of(name: &str, arguments: Value, messages: Vec<Message>) -> Value {
    serde_json::from_str(&call(name, &arguments.to_string(), messages).await.unwrap().text).unwrap()
}

fn said(lines: &[(&str, &str)]) -> Vec<Message> {
    let turn = |&(user, assistant): &(&str, &str)| [Message::User(user.into()), Message::Assistant(assistant.into())];
    lines.iter().flat_map(turn).chain([Message::User("and now?".into())]).collect()
}

#[tokio::test]
async fn every_tool_is_described() {
    let tools = Registry::new(server_tools(&Config::default()).unwrap());
    let names: Vec<String> = tools.specs().iter().map(|spec| spec.name.to_string()).collect();
    assert_eq!(names, ["time", "calculator", "timer", "recall", "summary"]);
    for spec in tools.specs() {
        let schema: Value = serde_json::from_str(&spec.parameters).unwrap();
        assert_eq!(
            (&schema["type"], &schema["additionalProperties"]),
            (&json!("object"), &json!(false)),
            "{}",
            spec.name
        );
        assert!(schema["properties"].is_object() && !spec.description.is_empty());
        assert!(tools.contains(&spec.name));
    }
    let wrong = Config { time_zone: "Nowhere/At_All".into(), ..Config::default() };
    assert!(server_tools(&wrong).is_err());
}

#[tokio::test]
async fn wrong_arguments_are_sentences() {
    for (name, arguments, sentence) in [
        ("clock", "{}", "There is no tool of that name."),
        ("time", "[1]", "The arguments must be a JSON object."),
        ("time", "{", "The arguments are no JSON"),
        ("time", r#"{"days":"soon"}"#, "The arguments do not fit"),
        ("time", r#"{"days":99999999}"#, "That day is too far away."),
        ("time", r#"{"time_zone":"atlantis"}"#, "I do not know the time zone of that place."),
        ("calculator", "{}", "The arguments do not fit"),
        ("timer", "{}", "I can set timers from 1 second to 7 days."),
        ("timer", r#"{"seconds":-5}"#, "I can set timers from 1 second to 7 days."),
        ("timer", r#"{"days":1e300,"hours":1e300}"#, "I can set timers from 1 second to 7 days."),
        ("timer", r#"{"days":7,"seconds":1}"#, "I can set timers from 1 second to 7 days."),
        ("recall", r#"{"who":"nobody"}"#, "The arguments do not fit"),
    ] {
        let error = call(name, arguments, Vec::new()).await.unwrap_err().to_string();
        assert!(error.starts_with(sentence), "{name} {arguments}: {error}");
        assert!(error.ends_with('.'), "{error}");
    }
    let long = format!("{{\"label\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(call("timer", &long, Vec::new()).await.unwrap_err().to_string(), "The arguments are too long.");
}

#[tokio::test]
async fn the_time_here_there_and_then() {
    let here = json_of("time", json!({}), Vec::new()).await;
    assert_eq!(
        here,
        json!({"time": "2:05 PM", "weekday": "Monday", "date": "November 23, 2026",
               "iso": "2026-11-23T14:05:00-05:00", "time_zone": "America/New_York"})
    );
    assert_eq!(call("time", "", Vec::new()).await.unwrap().text, here.to_string());
    assert_eq!(call("time", r#"{"time_zone":null}"#, Vec::new()).await.unwrap().text, here.to_string());
    for (zone, iso) in [
        ("Asia/Tokyo", "2026-11-24T04:05:00+09:00"),
        ("Buenos Aires", "2026-11-23T16:05:00-03:00"),
        ("Germany", "2026-11-23T20:05:00+01:00"),
        ("UTC", "2026-11-23T19:05:00+00:00"),
        ("kathmandu", "2026-11-24T00:50:00+05:45"),
    ] {
        assert_eq!(json_of("time", json!({"time_zone": zone}), Vec::new()).await["iso"], iso, "{zone}");
    }
    assert_eq!(json_of("time", json!({"days": -23}), Vec::new()).await["iso"], "2026-10-31T14:05:00-04:00");
}

#[test]
fn results_are_fit_for_the_ear() {
    for (expression, text, exact) in [
        ("1+1", "2", true),
        ("0.1 + 0.2", "0.3", true),
        ("10/3", "3.3333", false),
        ("1/3000", "0.0003333", false),
        ("-7*-6", "42", true),
        ("2^10", "1024", true),
        ("2**10", "1024", true),
        ("sqrt(2)", "1.4142", false),
        ("8% of 50", "4", true),
        ("50%", "0.5", true),
        ("1,250 × 4", "5000", true),
        ("7 ÷ 2", "3.5", true),
        ("999999999999 * 1", "999999999999", true),
        ("2^70", "1.181 times 10 to the power of 21", false),
        ("1/2^40", "9.095 times 10 to the power of minus 13", false),
        ("-2^70", "-1.181 times 10 to the power of 21", false),
        ("0*5", "0", true),
        ("-2^2", "-4", true),
        ("3*(-2^2)", "-12", true),
        ("2^-2", "0.25", true),
        ("5 + -3", "2", true),
        ("5 - -3", "8", true),
        ("(2^3)^2", "64", true),
    ] {
        let answer = calculator::evaluate(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert_eq!((answer.text.as_str(), answer.exact), (text, exact), "{expression}");
    }
    for wrong in
        ["", " ", "1/0", "0/0", "sqrt(-1)", "9^9^9", "x+1", "{x}", "1+", "(1", "1)", "system()", "1;2", "e9e9", "1 2"]
    {
        assert!(calculator::evaluate(wrong).is_err(), "{wrong}");
    }
    assert!(calculator::evaluate(&"(".repeat(300)).is_err());
    assert!(calculator::evaluate(&format!("{}1{}", "(".repeat(90), ")".repeat(90))).is_err());
    assert!(calculator::evaluate(&format!("1{}", "+1".repeat(95))).is_ok());
}

#[tokio::test]
async fn timers_announce_and_are_cancelled() {
    let output = call("timer", r#"{"minutes":1.5,"label":"the tea"}"#, Vec::new()).await.unwrap();
    let after = std::time::Duration::from_secs(90);
    assert_eq!(output.effects, [Effect::Announce { after, text: "You asked me to remind you: the tea.".into() }]);
    assert_eq!(output.text, r#"{"label":"the tea","set":"1 minute and 30 seconds"}"#);
    assert!(call("timer", r#"{"days":7}"#, Vec::new()).await.is_ok());
    let output = call("timer", r#"{"cancel":true}"#, Vec::new()).await.unwrap();
    assert_eq!(output.effects, [Effect::CancelAnnouncements]);
}

#[tokio::test]
async fn recall_finds_words_and_counts_back() {
    let talk = said(&[("call sarah", "Calling."), ("my flights are late", "Oh no."), ("book a flight", "Done.")]);
    let text = |arguments: Value| {
        let talk = talk.clone();
        async move {
            let found = json_of("recall", arguments, talk).await;
            let texts: Vec<String> = found["matches"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["text"].as_str().unwrap().to_owned())
                .collect();
            texts
        }
    };
    assert_eq!(text(json!({})).await, ["Done."]);
    assert_eq!(text(json!({"who": "user"})).await, ["book a flight"]);
    assert_eq!(text(json!({"who": "user", "nth_last": 3})).await, ["call sarah"]);
    assert_eq!(text(json!({"nth_last": 99})).await, [""; 0]);
    assert_eq!(text(json!({"query": "flight"})).await, ["book a flight", "my flights are late"]);
    assert_eq!(text(json!({"query": "late flight"})).await, ["my flights are late", "book a flight"]);
    assert_eq!(text(json!({"query": "elephants"})).await, [""; 0]);
}

#[tokio::test]
async fn a_summary_holds_what_was_spoken_of_most() {
    let talk = said(&[
        ("hello", "Hello!"),
        ("the garden needs water", "I see. It has been dry."),
        ("the weather is fine", "Good."),
        ("put water on the garden", "Sure."),
        ("what is for lunch", "Soup."),
    ]);
    let summary = json_of("summary", json!({"points_max": 2}), talk).await;
    assert_eq!(summary["turns"], 5);
    assert_eq!(summary["topics"], json!(["garden", "water"]));
    let points: Vec<&str> =
        summary["points"].as_array().unwrap().iter().map(|point| point["user"].as_str().unwrap()).collect();
    assert_eq!(points.len(), 2);
    assert!(points.iter().any(|point| point.contains("garden")), "{points:?}");
    let nothing = json_of("summary", json!({}), Vec::new()).await;
    assert_eq!(nothing, json!({"turns": 0, "topics": [], "points": []}));
}

proptest! {
    #[test]
    fn no_expression_panics(expression in "[0-9+\\-*/^(). %a-z,π×÷]{0,60}") {
        if let Ok(answer) = calculator::evaluate(&expression) {
            prop_assert!(!answer.text.is_empty());
        }
    }

    #[test]
    fn sums_are_right(one in -1_000_000_i64..1_000_000, other in -1_000_000_i64..1_000_000) {
        let answer = calculator::evaluate(&format!("({one}) + ({other})")).unwrap();
        prop_assert_eq!(answer.text, (one + other).to_string());
    }

    #[test]
    fn no_arguments_panic(name in prop::sample::select(vec!["time", "calculator", "timer", "recall", "summary"]),
                          text in prop_oneof![".{0,40}", "\\{\"(days|seconds|nth_last|points_max|query)\":[-0-9e.\"]{0,12}\\}"]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let talk = said(&[("hello there", "Hello.")]);
        match runtime.block_on(call(name, &text, talk)) {
            Ok(output) => prop_assert!(!output.text.is_empty()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
