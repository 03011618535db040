//! Every row of the floor's table.

use floe::conversation::floor::{
    Assistant::{self, Idle, PlayingOut, Speaking as Talking, Thinking},
    Happening::{self, AnnouncementDue, Leaving, ReplyRequested, SpeechBegan, SpeechBeganPolitely, TurnStands},
    User::{self, Committing, Pausing, Silent, Speaking},
    Verdict::{self, Proceed as Go, TakeTheFloor as Take, Wait},
    decide,
};

const USERS: [User; 4] = [Silent, Speaking, Pausing, Committing];
const ASSISTANTS: [Assistant; 4] = [Idle, Thinking, Talking, PlayingOut];

/// Rows are the user's states, columns the assistant's, in the orders above.
#[rustfmt::skip]
const TABLE: [(Happening, [[Verdict; 4]; 4]); 6] = [
    (SpeechBegan, [
        [Go,   Take, Take, Take],
        [Wait, Wait, Wait, Wait],
        [Wait, Wait, Wait, Wait],
        [Go,   Take, Take, Take],
    ]),
    (SpeechBeganPolitely, [
        [Go,   Go,   Go,   Go],
        [Wait, Wait, Wait, Wait],
        [Wait, Wait, Wait, Wait],
        [Go,   Go,   Go,   Go],
    ]),
    (TurnStands, [
        [Go,   Wait, Wait, Wait],
        [Wait, Wait, Wait, Wait],
        [Wait, Wait, Wait, Wait],
        [Wait, Wait, Wait, Wait],
    ]),
    (ReplyRequested, [[Go, Take, Take, Take]; 4]),
    (AnnouncementDue, [
        [Go,   Wait, Wait, Wait],
        [Wait, Wait, Wait, Wait],
        [Wait, Wait, Wait, Wait],
        [Wait, Wait, Wait, Wait],
    ]),
    (Leaving, [
        [Go,   Wait, Wait, Wait],
        [Wait, Wait, Wait, Wait],
        [Wait, Wait, Wait, Wait],
        [Wait, Wait, Wait, Wait],
    ]),
];

#[test]
fn the_table() {
    for (happening, rows) in TABLE {
        for (user, row) in USERS.into_iter().zip(rows) {
            for (assistant, verdict) in ASSISTANTS.into_iter().zip(row) {
                assert_eq!(decide(user, assistant, happening), verdict, "{user:?}, {assistant:?}, {happening:?}");
            }
        }
    }
}
