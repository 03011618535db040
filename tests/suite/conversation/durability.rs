//! What the client is told to be on disk is on disk; the reply never waits for it.

use crate::support::timeline::play;

#[test]
fn a_turn_is_committed_when_the_store_says_so_and_the_reply_goes_ahead() {
    play(
        r#"settings durable=true speak=false
     1.000 > records
           > type "weather?"
           < Item i1 typed"weather?"
           > request
           < ResponseStarted r1 to i1
           < Generate r1 typed"weather?"
     1.100 > stored i1
           < TurnCommitted i1 durable
     1.200 > stored i1                               # said twice: nobody waits any more
           > stored i9                               # not a turn of ours
    "#,
    );
}

#[test]
fn speech_waits_like_typed_words() {
    play(
        r#"settings durable=true reply=false
     1.600 > speech
     1.696 < SpeechStarted i1 @1.600
           < StartRecognition u1 from 1.300
     2.400 > quiet
     2.912 < SpeechStopped i1 @2.400 Silence
           < RecognizeTo u1 2.560
     3.050 > final u1 "hello"
           < CancelRecognition u1
           < TranscriptFinal i1 "hello"
     3.200 > stored i1
           < TurnCommitted i1 durable
    "#,
    );
}

#[test]
fn a_store_that_refuses_is_admitted_at_once() {
    play(
        r#"settings durable=true reply=false
     1.000 > type "one"
           > type "two"
     1.100 > unstored i1
           < TurnCommitted i1
           > stored i2
           < TurnCommitted i2 durable
    "#,
    );
}

#[test]
fn a_store_that_says_nothing_is_waited_for_five_seconds() {
    play(
        r#"settings durable=true reply=false
     1.000 > type "one"
     2.000 > type "two"
     6.000 < TurnCommitted i1
     6.500 > stored i1                               # too late to matter
           > stored i2
           < TurnCommitted i2 durable
     9.000 > type "three"
    14.000 < TurnCommitted i3
    "#,
    );
}

#[test]
fn leaving_waits_for_the_store_but_not_for_ever() {
    play(
        r#"settings durable=true reply=false
     1.000 > type "one"
     2.000 > draining 30.000
           < GoingAway 28000ms
     3.000 > stored i1
           < TurnCommitted i1 durable
           < Ended Restart
           < Close Restart
    "#,
    );
    play(
        r#"settings durable=true reply=false
     1.000 > type "one"
     2.000 > goodbye now
           < TurnCommitted i1
           < Ended Goodbye
           < Close Goodbye
    "#,
    );
}

#[test]
fn more_turns_than_the_store_can_follow_count_as_not_durable() {
    let mut script = String::from("settings durable=true reply=false\n");
    for turn in 1..=64 {
        script.push_str(&format!("1.000 > type \"turn {turn}\"\n"));
    }
    script.push_str("1.100 > type \"one too many\"\n < TurnCommitted i1\n");
    play(&script);
}
