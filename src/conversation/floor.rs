//! Where the halves meet: who may speak now. One table over (user, assistant, what happened), and nothing else.

/// The user's half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum User {
    /// Says nothing. (With push-to-talk also while recording: there only a commit counts.)
    Silent,
    /// Is speaking.
    Speaking,
    /// Is quiet, but not yet for long enough to have finished.
    Pausing,
    /// Has finished; the words are awaited.
    Committing,
}

/// The assistant's half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assistant {
    /// Has nothing to say.
    Idle,
    /// A reply has begun; nothing of it is audible.
    Thinking,
    /// Audio is leaving, and more will.
    Speaking,
    /// All audio has left; the client is playing the rest.
    PlayingOut,
}

impl Assistant {
    /// Whether the user may be hearing something.
    pub fn is_audible(self) -> bool {
        matches!(self, Self::Speaking | Self::PlayingOut)
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Happening {
    /// There was enough speech to count, and speech may interrupt.
    SpeechBegan,
    /// The same, but the settings do not let speech interrupt.
    SpeechBeganPolitely,
    /// A turn of the user's is waiting for an answer.
    TurnStands,
    /// The client asks for a reply, or commits audio while it holds the button.
    ReplyRequested,
    /// Something is to be said of the assistant's own accord.
    AnnouncementDue,
    /// The session is to end when it can.
    Leaving,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Not now. Asked again whenever something changed.
    Wait,
    /// It may go ahead.
    Proceed,
    /// It goes ahead, and the reply in progress ends first.
    TakeTheFloor,
}

/// The rule.
pub fn decide(user: User, assistant: Assistant, happening: Happening) -> Verdict {
    use Happening::{AnnouncementDue, Leaving, ReplyRequested, SpeechBegan, SpeechBeganPolitely, TurnStands};
    use Verdict::{Proceed, TakeTheFloor, Wait};

    match (happening, user, assistant) {
        // An utterance begins once: whoever is speaking already cannot begin again.
        (SpeechBegan | SpeechBeganPolitely, User::Speaking | User::Pausing, _) => Wait,
        (SpeechBeganPolitely, User::Silent | User::Committing, _) => Proceed,
        (SpeechBegan, User::Silent | User::Committing, Assistant::Idle) => Proceed,
        // Barge-in. While nothing is audible it is the user going on: the answer would be to half a question.
        (
            SpeechBegan,
            User::Silent | User::Committing,
            Assistant::Thinking | Assistant::Speaking | Assistant::PlayingOut,
        ) => TakeTheFloor,

        // Answered only when the user has said everything and all of it is understood.
        (TurnStands, User::Silent, Assistant::Idle) => Proceed,
        (TurnStands, _, _) => Wait,

        // Clients know what they want.
        (ReplyRequested, _, Assistant::Idle) => Proceed,
        (ReplyRequested, _, Assistant::Thinking | Assistant::Speaking | Assistant::PlayingOut) => TakeTheFloor,

        // Never into somebody's words.
        (AnnouncementDue, User::Silent, Assistant::Idle) => Proceed,
        (AnnouncementDue, _, _) => Wait,

        // Nobody's words are lost: neither the reply's nor those still being recognised.
        (Leaving, User::Silent, Assistant::Idle) => Proceed,
        (Leaving, _, _) => Wait,
    }
}
