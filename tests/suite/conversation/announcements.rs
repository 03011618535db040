//! The assistant speaks up of its own accord.

use crate::support::timeline::play;

#[test]
fn they_come_in_order_and_when_nobody_speaks() {
    play(
        r#"
        settings speak=false
         1.000 > announce 0.800 "Eggs."
               > announce 0.750 "Tea."
         1.600 > speech
         1.696 < SpeechStarted i1 @1.600
               < StartRecognition u1 from 1.300
         2.400 > quiet
         2.912 < SpeechStopped i1 @2.400 Silence
               < RecognizeTo u1 2.560
         3.000 > final u1 ""                            # the floor is free
               < CancelRecognition u1
               < TranscriptFinal i1 ""
               < ResponseStarted r1
               < ResponseText r1 "Tea."
               < ReleaseResponse r1
               < ResponseDone r1 Completed "Tea."
               < ResponseStarted r2
               < ResponseText r2 "Eggs."
               < ReleaseResponse r2
               < ResponseDone r2 Completed "Eggs."
        "#,
    );
}

#[test]
fn they_can_be_called_off() {
    play(
        r#"
         1.000 > announce 5.000 "Tea."
         2.000 > hush
         9.000 > none
        "#,
    );
}
