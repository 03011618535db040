//! Somebody asks, the assistant answers.

use crate::support::timeline::{brief, play};

#[test]
fn a_question_and_its_answer() {
    let conversation = play(
        r#"
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600            # min_speech of audio; the item's id exists from here on
               < StartRecognition u1 from 1.300     # with the pre-roll
         2.000 > partial u1 "what's|the wea"
               < TranscriptPartial i1 1 "what's|the wea"
         2.400 > quiet
         2.912 < SpeechStopped i1 @2.400 Silence    # 500 ms of quiet audio
               < RecognizeTo u1 2.560               # a soft ending is transcribed, too
         3.050 > final u1 "what's the weather in Oslo"
               < CancelRecognition u1
               < TranscriptFinal i1 "what's the weather in Oslo"
               < TurnCommitted i1
               < ResponseStarted r1 to i1
               < Generate r1 user"what's the weather in Oslo"
         3.300 > text r1 "It is four degrees. "
               < ResponseText r1 "It is four degrees. "
               < Speak r1.s1 "It is four degrees."
         3.310 > finished r1
         3.500 > audio r1.s1 400ms
               < ResponseAudio r1 400ms
         3.510 > spoken r1.s1
               < ResponseAudio r1 0ms last          # only now it is known to be the last
         3.900 < ReleaseResponse r1                 # played, by the clock
               < ResponseDone r1 Completed "It is four degrees."
        "#,
    );
    assert_eq!(
        conversation.history().items().iter().map(brief).collect::<Vec<_>>().join(" "),
        "user\"what's the weather in Oslo\" reply\"It is four degrees.\""
    );
    assert_eq!(conversation.stale_facts(), 0);
}

#[test]
fn going_on_after_a_pause_makes_two_texts_and_one_answer() {
    play(
        r#"
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.400 > quiet
         2.912 < SpeechStopped i1 @2.400 Silence
               < RecognizeTo u1 2.560
         3.008 > speech
         3.104 < SpeechStarted i2 @3.008
               < StartRecognition u2 from 2.708
         3.200 > final u1 "the weather"             # no answer: the user is speaking
               < CancelRecognition u1
               < TranscriptFinal i1 "the weather"
               < TurnCommitted i1
         3.520 > quiet
         4.032 < SpeechStopped i2 @3.520 Silence
               < RecognizeTo u2 3.680
         4.100 > final u2 "in Oslo"
               < CancelRecognition u2
               < TranscriptFinal i2 "in Oslo"
               < TurnCommitted i2
               < ResponseStarted r1 to i2
               < Generate r1 user"the weather" user"in Oslo"
        "#,
    );
}

#[test]
fn a_pause_within_a_sentence_is_not_its_end() {
    play(
        r#"
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.000 > quiet
         2.400 > speech
         2.800 > quiet
         3.312 < SpeechStopped i1 @2.800 Silence
               < RecognizeTo u1 2.960
        "#,
    );
}

#[test]
fn a_cough_is_nothing() {
    play(
        "
         1.600 > speech
         1.680 > quiet
         4.000 > quiet
        ",
    );
}

#[test]
fn no_words_no_answer() {
    let conversation = play(
        r#"
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.400 > quiet
         2.912 < SpeechStopped i1 @2.400 Silence
               < RecognizeTo u1 2.560
         3.050 > final u1 "  "
               < CancelRecognition u1
               < TranscriptFinal i1 ""
        "#,
    );
    assert!(conversation.history().items().is_empty());
    assert!(conversation.is_at_rest());
}

#[test]
fn an_utterance_without_end_is_cut_without_losing_a_sample() {
    play(
        "
        settings utterance_max=2000
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         3.600 < SpeechStopped i1 @3.600 TooLong
               < RecognizeTo u1 3.600
               < SpeechStarted i2 @3.600
               < StartRecognition u2 from 3.600
        ",
    );
}

#[test]
fn frames_that_stop_end_the_utterance() {
    play(
        "
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.400 > none
         3.400 < SpeechStopped i1 @2.400 AudioGap
               < RecognizeTo u1 2.400
        ",
    );
}

#[test]
fn mute_ends_it_at_once() {
    play(
        "
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.400 > mute
               < SpeechStopped i1 @2.400 AudioGap
               < RecognizeTo u1 2.400
        ",
    );
}

#[test]
fn typed_words_are_answered_on_request() {
    play(
        r#"
        settings speak=false
         1.000 > type "hello"
               < TurnCommitted i1
         1.100 > request
               < ResponseStarted r1 to i1
               < Generate r1 typed"hello"
         1.200 > text r1 "Hi."
               < ResponseText r1 "Hi."
         1.300 > request                            # a newer request takes the floor
               < CancelResponse r1
               < ResponseDone r1 Cancelled "Hi."
               < ResponseStarted r2
               < Generate r2 typed"hello" reply"Hi.--"
         1.400 > text r1 "More."                    # late news of a dead reply
         1.500 > text r2 "Well."
               < ResponseText r2 "Well."
         1.600 > finished r2
               < ReleaseResponse r2
               < ResponseDone r2 Completed "Well."
        "#,
    );
}

#[test]
fn a_greeting_is_the_first_word() {
    play(
        r#"
        settings greeting=Hello_there.
         0.000 < ResponseStarted r1
               < ResponseText r1 "Hello there."
               < Speak r1.s1 "Hello there."
        "#,
    );
}

#[test]
fn silence_ends_the_session_in_the_end() {
    play(
        r#"
        settings idle=5000
         3.000 > type "hello"
               < TurnCommitted i1
         8.000 < Ended Idle
               < Close Idle
        "#,
    );
}

#[test]
fn items_reach_the_store_as_they_stand() {
    play(
        r#"
        settings speak=false
         1.000 > records
               > type "hello"
               < Item i1 typed"hello"
               < TurnCommitted i1
               > request
               < ResponseStarted r1 to i1
               < Generate r1 typed"hello"
         1.100 > text r1 "Hi."
               < ResponseText r1 "Hi."
         1.200 > finished r1
               < ReleaseResponse r1
               < Item i2 reply"Hi."
               < ResponseDone r1 Completed "Hi."
               < Receipt r1
        "#,
    );
}
