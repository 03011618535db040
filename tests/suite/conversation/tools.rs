//! The agent calls tools.

use crate::support::timeline::play;

#[test]
fn a_round_follows_the_results() {
    play(
        r#"
        settings speak=false tools=clock,client_lamp
         1.000 > type "time?"
               < TurnCommitted i1
               > request
               < ResponseStarted r1 to i1
               < Generate r1 typed"time?"
         1.100 > text r1 "Let me see."
               < ResponseText r1 "Let me see."
         1.200 > call r1 clock
               < RunTool c1 clock
               > call r1 client_lamp
               < ToolCallRequested c2 client_lamp
         1.300 > finished r1
         1.400 > result c2 "on"
         1.500 > result c1 "noon"
               < Generate r1 typed"time?" reply"Let me see." call:c1:clock call:c2:client_lamp output:c2 output:c1
         1.600 > text r1 "It is noon."
               < ResponseText r1 " It is noon."         # set off from the first line
         1.700 > finished r1
               < ReleaseResponse r1
               < ResponseDone r1 Completed "Let me see. It is noon."
        "#,
    );
}

#[test]
fn an_unknown_tool_is_told_so() {
    play(
        r#"
        settings speak=false
         1.000 > type "time?"
               < TurnCommitted i1
               > request
               < ResponseStarted r1 to i1
               < Generate r1 typed"time?"
         1.200 > call r1 sundial
         1.300 > finished r1
               < Generate r1 typed"time?" call:c1:sundial output:c1:failed
        "#,
    );
}

#[test]
fn rounds_are_bounded() {
    play(
        r#"
        settings speak=false tools=clock tool_rounds=1
         1.000 > type "time?"
               < TurnCommitted i1
               > request
               < ResponseStarted r1 to i1
               < Generate r1 typed"time?"
         1.200 > call r1 clock
               < RunTool c1 clock
               > finished r1
         1.300 > result c1 "noon"
               < Generate r1 typed"time?" call:c1:clock output:c1 without tools
         1.400 > call r1 clock                          # it calls all the same, and is not heard
               > finished r1
               < ReleaseResponse r1
               < ResponseDone r1 Completed ""
        "#,
    );
}

#[test]
fn a_slow_tool_is_given_up() {
    play(
        r#"
        settings speak=false tools=clock
         1.000 > type "time?"
               < TurnCommitted i1
               > request
               < ResponseStarted r1 to i1
               < Generate r1 typed"time?"
         1.200 > call r1 clock
               < RunTool c1 clock
               > finished r1
        21.200 < Generate r1 typed"time?" call:c1:clock output:c1:failed
        21.300 > result c1 "noon"                       # too late
        "#,
    );
}

#[test]
fn a_call_cut_short_still_has_an_answer() {
    play(
        r#"
        settings speak=false tools=clock
         1.000 > type "time?"
               < TurnCommitted i1
               > request
               < ResponseStarted r1 to i1
               < Generate r1 typed"time?"
         1.200 > call r1 clock
               < RunTool c1 clock
         1.300 > cancel
               < CancelResponse r1
               < ResponseDone r1 Cancelled ""
         1.400 > request
               < ResponseStarted r2
               < Generate r2 typed"time?" call:c1:clock output:c1:failed
        "#,
    );
}
