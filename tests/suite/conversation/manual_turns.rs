//! Push-to-talk: the client says what a turn is.

use crate::support::timeline::play;

#[test]
fn a_commit_is_a_turn_and_speech_is_not() {
    play(
        r#"
        settings turns=manual
         1.600 > speech
         1.616 < StartRecognition u1 from 1.600         # everything from the first frame on
         2.400 > quiet
         4.000 > commit
               < SpeechStarted i1 @1.600
               < SpeechStopped i1 @4.000 Committed
               < RecognizeTo u1 4.000
         4.016 < StartRecognition u2 from 4.000
         4.100 > final u1 "hello"
               < CancelRecognition u1
               < TranscriptFinal i1 "hello"
               < TurnCommitted i1
               < ResponseStarted r1 to i1
               < Generate r1 user"hello"
         4.200 > speech                                 # over the reply, and nothing happens
         4.400 > clear
               < CancelRecognition u2
               < AudioCleared
         4.416 < StartRecognition u3 from 4.400
         4.480 > commit                                 # this takes the floor
               < CancelResponse r1
               < ResponseDone r1 Cancelled ""
               < SpeechStarted i3 @4.400
               < SpeechStopped i3 @4.480 Committed
               < RecognizeTo u3 4.480
        "#,
    );
}

#[test]
fn there_must_be_something_to_commit() {
    play(
        "
        settings turns=manual
         1.000 > commit
               < Problem input_empty
        ",
    );
}

#[test]
fn a_commit_ends_speech_at_once_in_automatic_mode() {
    play(
        "
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.400 > commit
               < SpeechStopped i1 @2.400 Committed
               < RecognizeTo u1 2.400
        ",
    );
}

#[test]
fn an_open_microphone_with_nobody_at_it_is_not_transcribed() {
    play(
        "
        settings turns=manual utterance_max=2000
         1.600 > quiet
         1.616 < StartRecognition u1 from 1.600
         3.600 < CancelRecognition u1
         3.616 < StartRecognition u2 from 3.600
        ",
    );
}

#[test]
fn a_full_recording_waits_for_its_commit() {
    play(
        r#"
        settings turns=manual utterance_max=2000
         1.600 > speech
         1.616 < StartRecognition u1 from 1.600
         3.600 < SpeechStarted i1 @1.600
               < SpeechStopped i1 @3.600 TooLong
               < RecognizeTo u1 3.600
         3.616 < StartRecognition u2 from 3.600
         3.700 > final u1 "a long"
               < CancelRecognition u1
               < TranscriptFinal i1 "a long"
               < TurnCommitted i1
         4.000 > commit
               < SpeechStarted i2 @3.600
               < SpeechStopped i2 @4.000 Committed
               < RecognizeTo u2 4.000
         4.008 > none
         4.010 > final u2 "story"
               < CancelRecognition u2
               < TranscriptFinal i2 "story"
               < TurnCommitted i2
               < ResponseStarted r1 to i2
               < Generate r1 user"a long" user"story"
        "#,
    );
}
