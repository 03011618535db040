//! The user takes the floor.

use crate::support::timeline::{brief, play};

/// A reply that is being heard from 1.500 on.
const REPLY: &str = r#"
     1.000 > type "weather?"
           < TurnCommitted i1
           > request
           < ResponseStarted r1 to i1
           < Generate r1 typed"weather?"
     1.200 > text r1 "It is four degrees. Bring a coat. "
           < ResponseText r1 "It is four degrees. Bring a coat. "
           < Speak r1.s1 "It is four degrees."
           < Speak r1.s2 "Bring a coat."
     1.500 > audio r1.s1 1200ms
           < ResponseAudio r1 500ms
           > spoken r1.s1
     1.600 < ResponseAudio r1 20ms
     1.600 > none
"#;

/// A reply whose clock the script need not follow: all of it left at once.
const SHORT: &str = r#"
     1.000 > type "weather?"
           < TurnCommitted i1
           > request
           < ResponseStarted r1 to i1
           < Generate r1 typed"weather?"
     1.200 > text r1 "It is four degrees. Bring a coat. "
           < ResponseText r1 "It is four degrees. Bring a coat. "
           < Speak r1.s1 "It is four degrees."
           < Speak r1.s2 "Bring a coat."
     1.600 > audio r1.s1 400ms
           < ResponseAudio r1 400ms
           > spoken r1.s1
"#;

fn history(conversation: &floe::conversation::Conversation) -> String {
    conversation.history().items().iter().map(brief).collect::<Vec<_>>().join(" ")
}

#[test]
fn speech_stops_the_reply_in_this_order() {
    let conversation = play(&format!(
        r#"{SHORT}
         1.600 > records
         1.600 > speech
         1.792 < SpeechStarted i3 @1.600
               < StartRecognition u1 from 1.300         # nothing of the interruption is lost
               < PlaybackFlushed r1 192ms "It is"
               < CancelResponse r1
               < Item i2 reply"It is--"                 # 192 of 400 ms were played
               < ResponseDone r1 Interrupted "It is"
               < Receipt r1
         1.800 > text r1 "And gloves."                  # late news of a dead reply …
               > audio r1.s2 100ms
               > spoken r1.s2
               > finished r1                            # … and nothing happens
         1.900 > flushed r1 0.320                       # the client knows better
               < Item i2 reply"It is four--"
        "#
    ));
    assert_eq!(history(&conversation), r#"typed"weather?" reply"It is four--""#);
    assert!(conversation.stale_facts() >= 4);
}

#[test]
fn a_cough_does_not_interrupt() {
    play(&format!(
        r#"{SHORT}
         1.600 > speech
         1.760 > quiet                                  # 160 ms
         1.900 > quiet
        "#
    ));
}

#[test]
fn going_on_before_the_answer_is_audible_stops_it_too() {
    let conversation = play(
        r#"
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.400 > quiet
         2.912 < SpeechStopped i1 @2.400 Silence
               < RecognizeTo u1 2.560
         3.040 > final u1 "the weather"
               < CancelRecognition u1
               < TranscriptFinal i1 "the weather"
               < TurnCommitted i1
               < ResponseStarted r1 to i1
               < Generate r1 user"the weather"
         3.040 > speech
         3.136 < SpeechStarted i2 @3.040
               < StartRecognition u2 from 2.740
               < CancelResponse r1                      # nothing to flush
               < ResponseDone r1 Interrupted ""
         3.520 > quiet
         4.032 < SpeechStopped i2 @3.520 Silence
               < RecognizeTo u2 3.680
         4.100 > final u2 "in Oslo"
               < CancelRecognition u2
               < TranscriptFinal i2 "in Oslo"
               < TurnCommitted i2
               < ResponseStarted r2 to i2
               < Generate r2 user"the weather" user"in Oslo"
        "#,
    );
    assert_eq!(history(&conversation), r#"user"the weather" user"in Oslo""#);
}

#[test]
fn a_noise_before_the_answer_does_not_lose_the_question() {
    play(
        r#"
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.400 > quiet
         2.912 < SpeechStopped i1 @2.400 Silence
               < RecognizeTo u1 2.560
         3.040 > final u1 "the weather"
               < CancelRecognition u1
               < TranscriptFinal i1 "the weather"
               < TurnCommitted i1
               < ResponseStarted r1 to i1
               < Generate r1 user"the weather"
         3.040 > speech
         3.136 < SpeechStarted i2 @3.040
               < StartRecognition u2 from 2.740
               < CancelResponse r1
               < ResponseDone r1 Interrupted ""
         3.200 > quiet
         3.712 < SpeechStopped i2 @3.200 Silence
               < RecognizeTo u2 3.360
         3.800 > final u2 ""
               < CancelRecognition u2
               < TranscriptFinal i2 ""
               < ResponseStarted r2 to i1
               < Generate r2 user"the weather"
        "#,
    );
}

#[test]
fn where_speech_may_not_interrupt_the_answer_waits() {
    play(&format!(
        r#"settings barge_in=false
         {SHORT}
         1.600 > speech
         1.696 < SpeechStarted i3 @1.600
               < StartRecognition u1 from 1.300
         1.760 > quiet
         2.272 < SpeechStopped i3 @1.760 Silence
               < RecognizeTo u1 1.920
         2.300 > final u1 "and tomorrow"
               < CancelRecognition u1
               < TranscriptFinal i3 "and tomorrow"
               < TurnCommitted i3
         2.400 > finished r1
         2.500 > unspoken r1.s2
               < Problem speech_failed
               < ResponseAudio r1 0ms last
               < ReleaseResponse r1
               < ResponseDone r1 Completed "It is four degrees. Bring a coat."
               < ResponseStarted r2 to i3
               < Generate r2 typed"weather?" reply"It is four degrees. Bring a coat." user"and tomorrow"
        "#
    ));
}

#[test]
fn the_client_can_stop_it() {
    let conversation = play(&format!(
        r#"{REPLY}
         1.600 > cancel
               < PlaybackFlushed r1 100ms ""
               < CancelResponse r1
               < ResponseDone r1 Cancelled ""
         3.000 > none
        "#
    ));
    assert!(conversation.is_at_rest());
}

#[test]
fn reports_say_what_was_heard() {
    play(&format!(
        r#"settings reports=true
         {SHORT}
         1.700 > played r1 0.010                        # its buffer was slow to start
         1.720 > cancel
               < PlaybackFlushed r1 30ms ""
               < CancelResponse r1
               < ResponseDone r1 Cancelled ""
        "#
    ));
}
