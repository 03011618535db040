//! Audio leaves when it is due, and only to somebody.

use crate::support::timeline::play;

const SAYING: &str = r#"
     1.000 > say "One. Two. Three. Four."
           < ResponseStarted r1
           < ResponseText r1 "One. Two. Three. Four."
           < Speak r1.s1 "One."
           < Speak r1.s2 "Two."
"#;

#[test]
fn a_burst_and_then_real_time() {
    play(&format!(
        "{SAYING}
         2.000 > audio r1.s1 600ms
               < ResponseAudio r1 500ms
         2.100 < ResponseAudio r1 20ms                  # 400 ms ahead of what is being played
         2.120 < ResponseAudio r1 20ms
         2.140 < ResponseAudio r1 20ms
         2.160 < ResponseAudio r1 20ms
         2.180 < ResponseAudio r1 20ms
         2.900 > none
        "
    ));
}

#[test]
fn a_stalled_socket_holds_the_audio_and_the_voice() {
    play(&format!(
        r#"{SAYING}
         2.000 > stall
               > audio r1.s1 6000ms
               < ResponseAudio r1 500ms                 # the burst: nothing of it was sent
         3.000 > spoken r1.s1                           # 5 s wait at the door: no further segment is spoken
         9.000 > none
        "#
    ));
}

#[test]
fn nobody_there_nothing_leaves() {
    play(&format!(
        r#"{SAYING}
         2.000 > lost
               > audio r1.s1 300ms
               > spoken r1.s1
               < Speak r1.s3 "Three."
         5.000 > back
               < ResponseAudio r1 300ms
        "#
    ));
}
