//! Committed words never change, whatever the hypotheses do.

use floe::stt::agreement::Agreement;
use proptest::prelude::*;

fn after(hypotheses: &[&str]) -> (String, String) {
    let mut agreement = Agreement::new();
    for hypothesis in hypotheses {
        agreement.hear(hypothesis);
    }
    (agreement.stable(), agreement.tail())
}

#[test]
fn what_two_in_a_row_agree_on_is_committed() {
    for (hypotheses, stable, tail) in [
        (&["what"][..], "", "what"),
        (&["what", "what is"], "what", "is"),
        (&["what", "what is", "what is the time"], "what is", "the time"),
        (&["what is", "what was", "what was that"], "what was", "that"),
        (&["what", "", "what"], "", "what"),
        // Case and punctuation settle later; a full stop at the end of a hypothesis is not the end of the sentence.
        (&["What is.", "what is."], "what is", ""),
        (&["so, what", "So what now"], "So what", "now"),
        // A contradiction of what is committed changes the tail only.
        (&["turn on", "turn on", "turned on the light"], "turn on", "the light"),
        (&["turn on", "turn on", "turn"], "turn on", ""),
    ] {
        assert_eq!(after(hypotheses), (stable.to_owned(), tail.to_owned()), "{hypotheses:?}");
    }
}

#[test]
fn a_new_window_goes_on_after_the_old_one() {
    let mut agreement = Agreement::new();
    agreement.hear("one two three");
    agreement.hear("one two three four");
    agreement.roll("one two three four");
    assert_eq!((agreement.stable().as_str(), agreement.tail().as_str()), ("one two three four", ""));
    agreement.hear("five six");
    agreement.hear("five six seven");
    assert_eq!((agreement.stable().as_str(), agreement.tail().as_str()), ("one two three four five six", "seven"));
}

#[test]
fn words_committed_before_the_cut_are_not_said_twice() {
    let mut agreement = Agreement::new();
    agreement.hear("one two three four");
    agreement.hear("one two three four");
    // The cut lies after "three": the next window begins with "four", which is committed already.
    agreement.roll("one two three");
    agreement.hear("four five");
    agreement.hear("four five six");
    assert_eq!((agreement.stable().as_str(), agreement.tail().as_str()), ("one two three four five", "six"));
}

#[derive(Debug, Clone)]
enum Step {
    Hear(String),
    Roll(String),
}

fn step() -> impl Strategy<Value = Step> {
    let words = prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c."), Just("B,"), Just("…")], 0..7)
        .prop_map(|words| words.join(" "));
    prop_oneof![6 => words.clone().prop_map(Step::Hear), 1 => words.prop_map(Step::Roll)]
}

proptest! {
    #[test]
    fn committed_words_only_grow(steps in prop::collection::vec(step(), 0..40)) {
        let mut agreement = Agreement::new();
        let mut before: Vec<String> = Vec::new();
        for step in steps {
            match &step {
                Step::Hear(hypothesis) => agreement.hear(hypothesis),
                Step::Roll(piece) => agreement.roll(piece),
            }
            let stable = agreement.stable();
            let words: Vec<String> = stable.split(' ').filter(|it| !it.is_empty()).map(str::to_owned).collect();
            prop_assert!(words.starts_with(&before), "{before:?} became {words:?}");
            if let Step::Hear(hypothesis) = &step {
                let shown = words.len() + agreement.tail().split_whitespace().count();
                prop_assert!(shown <= before.len() + hypothesis.split_whitespace().count());
            }
            before = words;
        }
    }
}
