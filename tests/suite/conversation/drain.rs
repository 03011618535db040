//! Ends: the server leaves, the client says goodbye.

use crate::support::timeline::play;

const TALKING: &str = r#"
     1.000 > type "weather?"
           < TurnCommitted i1
           > request
           < ResponseStarted r1 to i1
           < Generate r1 typed"weather?"
     1.200 > text r1 "Four degrees."
           < ResponseText r1 "Four degrees."
"#;

#[test]
fn the_reply_is_finished_and_none_begun() {
    play(&format!(
        r#"{TALKING}
         2.000 > draining 30.0
               < GoingAway 28000ms
         2.100 > request
               < ResponseRefused 0 Leaving
         2.200 > finished r1
               < Speak r1.s1 "Four degrees."
               > audio r1.s1 100ms
               < ResponseAudio r1 100ms
               > spoken r1.s1
               < ResponseAudio r1 0ms last
         2.300 < ReleaseResponse r1
               < ResponseDone r1 Completed "Four degrees."
               < Ended Restart
               < Close Restart
         2.400 > type "too late"
        "#
    ));
}

#[test]
fn the_deadline_stands() {
    play(&format!(
        r#"{TALKING}
         2.000 > draining 3.0
               < GoingAway 1000ms
         3.000 < CancelResponse r1
               < ResponseDone r1 Cancelled ""
               < Ended Restart
               < Close Restart
        "#
    ));
}

#[test]
fn words_being_spoken_are_not_lost() {
    play(
        r#"
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.400 > draining 30.0
               < SpeechStopped i1 @2.400 Committed
               < RecognizeTo u1 2.400
               < GoingAway 27600ms
         2.500 > final u1 "remember this"
               < CancelRecognition u1
               < TranscriptFinal i1 "remember this"
               < TurnCommitted i1
               < Ended Restart
               < Close Restart
        "#,
    );
}

#[test]
fn goodbye_waits_or_does_not() {
    play(&format!(
        r#"{TALKING}
         2.000 > goodbye now
               < CancelResponse r1
               < ResponseDone r1 Cancelled ""
               < Ended Goodbye
               < Close Goodbye
        "#
    ));
    play(
        "
         2.000 > goodbye flush
               < Ended Goodbye
               < Close Goodbye
        ",
    );
}

#[test]
fn the_longest_session_ends() {
    play(
        "
        settings session_max=5000
         5.000 < GoingAway 120000ms
               < Ended TooLong
               < Close TooLong
        ",
    );
}
