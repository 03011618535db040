//! Settings change mid-session.

use std::{sync::Arc, time::Duration};

use floe::conversation::{Settings, SettingsPatch, ToolPlace, ToolSpec};

use crate::support::timeline::play;

#[test]
fn a_reply_keeps_what_it_began_with() {
    play(
        r#"
         1.000 > type "weather?"
               < TurnCommitted i1
               > request
               < ResponseStarted r1 to i1
               < Generate r1 typed"weather?"
         1.100 > patch speak=false
               < SettingsUpdated
         1.200 > text r1 "Four degrees."
               < ResponseText r1 "Four degrees."
               > finished r1
               < Speak r1.s1 "Four degrees."
        "#,
    );
}

#[test]
fn letting_go_of_automatic_turns_ends_the_utterance() {
    play(
        "
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.000 > patch turns=manual
               < SpeechStopped i1 @2.000 Committed
               < RecognizeTo u1 2.000
               < SettingsUpdated
         2.016 < StartRecognition u2 from 2.000
         2.100 > patch turns=auto
               < CancelRecognition u2
               < SettingsUpdated
        ",
    );
}

#[test]
fn values_out_of_range_are_clamped_and_tools_of_the_server_stay() {
    let tool = |name: &str, place| ToolSpec {
        name: Arc::from(name),
        description: Arc::from(""),
        parameters: Arc::from("{}"),
        place,
    };
    let settings = Settings {
        tools: Arc::from([tool("clock", ToolPlace::Server), tool("old", ToolPlace::Client)]),
        ..Settings::default()
    };
    let patched = settings.patched(SettingsPatch {
        speech_threshold: Some(7.0),
        silence: Some(Duration::ZERO),
        preroll: Some(Duration::from_secs(60)),
        client_tools: Some(vec![tool("lamp", ToolPlace::Client)]),
        ..SettingsPatch::default()
    });
    assert_eq!(patched.speech_threshold, 0.99);
    assert_eq!(patched.silence, Duration::from_millis(100));
    assert_eq!(patched.preroll, Duration::from_millis(1_000));
    assert_eq!(patched.tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>(), ["clock", "lamp"]);
    let ignored = settings.patched(SettingsPatch { speech_threshold: Some(f32::NAN), ..SettingsPatch::default() });
    assert_eq!(ignored, settings);
}
