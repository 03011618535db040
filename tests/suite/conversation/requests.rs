//! Clients that edit the history and ask for replies themselves.

use floe::conversation::Conversation;

use crate::support::timeline::{brief, play};

fn history(conversation: &Conversation) -> String {
    conversation.history().items().iter().map(brief).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_client_puts_items_in_and_takes_them_out() {
    let conversation = play(
        r#"
         1.000 > insert c1 user "hello"
               < ItemAdded c1 typed"hello"
               > insert c2 system "be brief" in front
               < ItemAdded c2 system"be brief"
               > insert c3 assistant "hi" after c1
               < ItemAdded c3 reply"hi" after c1
               > insert c3 user "again"
               < ItemRefused c3 Duplicate
               > insert c4 user "where" after c9
               < ItemRefused c4 UnknownPlace
               > insert c5 output:c1 "4"
               < ItemRefused c5 UnknownCall
               > delete c1
               < ItemDeleted c1
               > delete c1
               < ItemRefused c1 Unknown
               > truncate c3 0.500
               < ItemRefused c3 NotSpoken
         2.000 > ask 7 refuse
               < ResponseStarted r1
               < Generate r1 system"be brief" reply"hi"
        "#,
    );
    assert_eq!(history(&conversation), r#"system"be brief" reply"hi""#);
}

#[test]
fn a_request_waits_for_what_was_just_said() {
    play(
        r#"
        settings turns=manual reply=false
         1.600 > speech
         1.616 < StartRecognition u1 from 1.600
         2.400 > none
               > commit
               < SpeechStarted i1 @1.600
               < SpeechStopped i1 @2.400 Committed
               < RecognizeTo u1 2.400
               > ask 1 refuse
               < ResponseStarted r1
               > ask 2 refuse
               < ResponseRefused 2 Busy
         2.600 > final u1 "what time is it"
               < CancelRecognition u1
               < TranscriptFinal i1 "what time is it"
               < TurnCommitted i1
               < Generate r1 user"what time is it"
        "#,
    );
}

#[test]
fn a_reply_that_leaves_at_once_is_over_when_it_has_left_and_may_be_cut_afterwards() {
    let conversation = play(
        r#"
        settings delivery=at_once
         1.000 > type "weather?"
               < TurnCommitted i1
               > request
               < ResponseStarted r1 to i1
               < Generate r1 typed"weather?"
         1.200 > text r1 "It is four degrees. "
               < ResponseText r1 "It is four degrees. "
               < Speak r1.s1 "It is four degrees."
               > finished r1
         1.300 > audio r1.s1 900ms
               < ResponseAudio r1 900ms
               > spoken r1.s1
               < ResponseAudio r1 0ms last
               < ReleaseResponse r1
               < ResponseDone r1 Completed "It is four degrees."
         1.600 > truncate i2 0.450
               < ItemTruncated i2 450ms "It is"
               > truncate i2 5.000
               < ItemTruncated i2 900ms "It is four degrees."
               > truncate i2 0.000
               < ItemTruncated i2 0ms ""
        "#,
    );
    assert_eq!(history(&conversation), r#"typed"weather?" reply"--""#);
}

#[test]
fn a_reply_beside_the_conversation_takes_no_floor_and_leaves_no_trace() {
    let conversation = play(
        r#"
        settings delivery=at_once
         1.000 > records
               > insert c1 user "hello"
               < Item c1 typed"hello"
               < ItemAdded c1 typed"hello"
               > ask 1
               < ResponseStarted r1
               < Generate r1 typed"hello"
         1.100 > ask 2 aside only=c1,"classify"
               < ResponseStarted r2 aside
               < Generate r2 typed"hello" typed"classify"
         1.200 > text r2 "greeting. "
               < ResponseText r2 "greeting. "
               > finished r2
               < Speak r2.s1 "greeting."
               > audio r2.s1 100ms
               < ResponseAudio r2 100ms
               > spoken r2.s1
               < ResponseAudio r2 0ms last
               < ReleaseResponse r2
               < ResponseDone r2 Completed "greeting."
         1.300 > text r1 "Hi. "
               < ResponseText r1 "Hi. "
               < Speak r1.s1 "Hi."
         1.400 > ask 3 aside speak=false
               < ResponseStarted r3 aside
               < Generate r3 typed"hello" reply"Hi."
               > cancel r3
               < CancelResponse r3
               < ResponseDone r3 Cancelled ""
        "#,
    );
    assert_eq!(history(&conversation), r#"typed"hello" reply"Hi.""#);
}

#[test]
fn calls_of_the_client_end_the_reply_and_their_results_wait_for_a_request() {
    play(
        r#"
        settings calls=end tools=client_light,clock delivery=at_once
         1.000 > type "light"
               < TurnCommitted i1
               > request
               < ResponseStarted r1 to i1
               < Generate r1 typed"light"
         1.200 > call r1 client_light
               < ToolCallRequested c1 client_light
               > call r1 clock
               < RunTool c2 clock
               > finished r1
         1.300 > result c2 "noon"
               < ReleaseResponse r1
               < ResponseDone r1 Completed ""
         1.400 > insert c7 output:c1 "on"
               < ItemAdded c7 output:c1 after i4
               > insert c8 output:c1 "off"
               < ItemRefused c8 UnknownCall
               > ask 2 refuse
               < ResponseStarted r2
               < Generate r2 typed"light" call:c1:client_light call:c2:clock output:c2 output:c1
        "#,
    );
}

#[test]
fn a_user_who_says_nothing_is_spoken_to() {
    play(
        r#"
        settings delivery=at_once prompt_after=5000
         0.500 > quiet
         1.000 > insert c1 system "be kind"
               < ItemAdded c1 system"be kind"
               > ask 1
               < ResponseStarted r1
               < Generate r1 system"be kind"
         1.200 > text r1 "Hello? "
               < ResponseText r1 "Hello? "
               < Speak r1.s1 "Hello?"
               > finished r1
               > audio r1.s1 1000ms
               < ResponseAudio r1 1000ms
               > spoken r1.s1
               < ResponseAudio r1 0ms last
               < ReleaseResponse r1
               < ResponseDone r1 Completed "Hello?"
         7.200 < InputTimedOut i2 2.184 7.184           # 1.2 + 1 s of speech + 5 s
               < ResponseStarted r2
               < Generate r2 system"be kind" reply"Hello?" system"The user has said nothing for a while."
        "#,
    );
}

#[test]
fn a_reply_cut_by_its_limit_says_so() {
    play(
        r#"
        settings delivery=at_once speak=false
         1.000 > insert c1 system "be kind"
               < ItemAdded c1 system"be kind"
               > ask 1
               < ResponseStarted r1
               < Generate r1 system"be kind"
         1.200 > text r1 "One two"
               < ResponseText r1 "One two"
               > finished r1 full
               < ReleaseResponse r1
               < ResponseDone r1 Incomplete(TokensMax) "One two"
        "#,
    );
}

#[test]
fn a_recording_put_in_is_understood_and_answered_only_on_request() {
    play(
        r#"
         1.000 > record c1 1.500
               < ItemAdded c1 user"?"
               < RecognizeRecording u1 c1 1.500
               > record c1 1.500
               < ItemRefused c1 Duplicate
         1.200 > ask 1 refuse
               < ResponseStarted r1
         1.300 > final u1 "what time is it"
               < CancelRecognition u1
               < TranscriptFinal c1 "what time is it"
               < Generate r1 user"what time is it"
        "#,
    );
}

#[test]
fn a_commit_that_asks_for_nothing_is_answered_on_request() {
    play(
        r#"
        settings reply_to_commits=false
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.400 > none
               > commit
               < SpeechStopped i1 @2.400 Committed
               < RecognizeTo u1 2.400
         2.600 > final u1 "what time is it"
               < CancelRecognition u1
               < TranscriptFinal i1 "what time is it"
               < TurnCommitted i1
         3.000 > ask 1 refuse
               < ResponseStarted r1 to i1
               < Generate r1 user"what time is it"
        "#,
    );
}
