//! Names of things: one random id per session, counters for everything inside it.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// Ids that are unique across servers. Time-ordered, so a listing sorts by when each began.
macro_rules! unique {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The bare value, as a database keeps it.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The id of this value.
            pub const fn of_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = NoId;

            /// Reads what `Display` writes.
            fn from_str(text: &str) -> Result<Self, NoId> {
                let uuid = text.strip_prefix($prefix).filter(|hex| hex.len() == 32).ok_or(NoId)?;
                Uuid::try_parse(uuid).map(Self).map_err(|_| NoId)
            }
        }
    };
}

/// A text that is no id of the kind wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is no id")]
pub struct NoId;

unique!(
    /// One session.
    SessionId,
    "ses_"
);
unique!(
    /// One conversation as it is kept.
    ConversationId,
    "cnv_"
);
unique!(
    /// One API key.
    KeyId,
    "key_"
);
unique!(
    /// One login of a browser.
    LoginId,
    "login_"
);
unique!(
    /// One job.
    JobId,
    "job_"
);
unique!(
    /// One webhook.
    HookId,
    "hook_"
);

/// Ids inside a session are counters from 1, given out by the conversation: the same facts always give the same ids.
/// Items and calls that a client brings along are named by its codec, from the other half of the range.
macro_rules! counter {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub u32);

        impl $name {
            /// The id after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.wrapping_add(1))
            }

            /// The `n`th id that a codec gives to something its client brings along. Never one of the conversation's own.
            #[must_use]
            pub const fn of_client(n: u32) -> Self {
                Self(n | 1 << 31)
            }

            /// Whether a client's codec gave it.
            #[must_use]
            pub const fn is_of_client(self) -> bool {
                self.0 >> 31 == 1
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }
    };
}

counter!(
    /// A stretch of user speech, from speech started to its endpoint.
    UtteranceId,
    "u"
);
counter!(
    /// One assistant reply, from request to done.
    ResponseId,
    "r"
);
counter!(
    /// An entry of the conversation. A user item is also the turn that clients see.
    ItemId,
    "i"
);
counter!(
    /// A speakable piece of one response.
    SegmentId,
    "s"
);
counter!(
    /// One tool call.
    CallId,
    "c"
);
