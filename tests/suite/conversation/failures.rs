//! A failure is never silence.

use crate::support::timeline::play;

const ASKED: &str = r#"
     1.000 > type "weather?"
           < TurnCommitted i1
           > request
           < ResponseStarted r1 to i1
           < Generate r1 typed"weather?"
"#;

#[test]
fn a_failed_reply_apologises_aloud() {
    play(&format!(
        r#"settings apology=Sorry.
         {ASKED}
         1.200 > failed r1
               < Problem reply_failed
               < ResponseText r1 "Sorry."
               < Speak r1.s1 "Sorry."
         1.300 > audio r1.s1 100ms
               < ResponseAudio r1 100ms
               > spoken r1.s1
               < ResponseAudio r1 0ms last
         1.400 < ReleaseResponse r1
               < ResponseDone r1 Failed("unavailable") "Sorry."
        "#
    ));
}

#[test]
fn an_agent_that_says_nothing_is_given_up() {
    play(&format!(
        r#"settings apology=Sorry. speak=false
         {ASKED}
        11.000 < Problem reply_failed
               < ResponseText r1 "Sorry."
               < ReleaseResponse r1
               < ResponseDone r1 Failed("timeout") "Sorry."
        "#
    ));
}

#[test]
fn an_agent_that_falls_silent_ends_with_what_it_said() {
    play(&format!(
        r#"settings apology=Sorry.
         {ASKED}
         1.500 > text r1 "It is four degrees. And"
               < ResponseText r1 "It is four degrees. And"
               < Speak r1.s1 "It is four degrees."
         1.600 > audio r1.s1 100ms
               < ResponseAudio r1 100ms
               > spoken r1.s1
        16.500 < Problem reply_failed
               < Speak r1.s2 "And"
        16.600 > spoken r1.s2
               < ResponseAudio r1 0ms last
               < ReleaseResponse r1
               < ResponseDone r1 Failed("timeout") "It is four degrees. And"
        "#
    ));
}

#[test]
fn a_voice_that_fails_leaves_the_words() {
    play(&format!(
        r#"{ASKED}
         1.500 > text r1 "Four degrees."
               < ResponseText r1 "Four degrees."
               > finished r1
               < Speak r1.s1 "Four degrees."
        11.500 < Problem speech_failed                  # no audio for ten seconds
               < ReleaseResponse r1
               < ResponseDone r1 Completed "Four degrees."
        "#
    ));
}

#[test]
fn words_that_cannot_be_found_are_asked_for_again() {
    play(
        r#"
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.400 > quiet
         2.912 < SpeechStopped i1 @2.400 Silence
               < RecognizeTo u1 2.560
         3.000 > unrecognized u1
               < CancelRecognition u1
               < TranscriptFailed i1 busy
         3.200 > speech
         3.296 < SpeechStarted i2 @3.200
               < StartRecognition u2 from 2.900
         3.600 > quiet
         4.112 < SpeechStopped i2 @3.600 Silence
               < RecognizeTo u2 3.760
        19.112 < CancelRecognition u2
               < TranscriptFailed i2 timeout
        19.200 > final u2 "too late"
        "#,
    );
}
