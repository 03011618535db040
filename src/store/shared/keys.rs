//! The name of every key in Redis, what is under it, and how long it lives. docs/operations.md has the same table.

use std::time::Duration;

use super::{Config, Digest};
use crate::ids::SessionId;

/// One kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its name after the prefix; `*` is the part that differs.
    pub name: &'static str,
    /// Redis' type.
    pub form: &'static str,
    /// What is in it.
    pub holds: &'static str,
    /// How long it lives after it was last written, by the name of the setting.
    pub ttl: &'static str,
}

/// Every key there is.
pub const TABLE: &[Kind] = &[
    Kind {
        name: "generation",
        form: "string",
        holds: "a random word; another one means that Redis lost everything",
        ttl: "24 h",
    },
    Kind { name: "lease:ses_*", form: "hash", holds: "`epoch` and `node`: who has a session", ttl: "`redis.lease_ms`" },
    Kind {
        name: "snapshot:ses_*",
        form: "hash",
        holds: "`epoch`, `revision` and `state`: a live conversation, its words included, as JSON",
        ttl: "`session.resume_window_s`",
    },
    Kind {
        name: "token:*",
        form: "string",
        holds: "the session for which the resume token of this digest is good; empty once it was used",
        ttl: "`session.resume_window_s`",
    },
    Kind {
        name: "nodes",
        form: "sorted set",
        holds: "names of nodes by when they count as gone",
        ttl: "`redis.lease_ms`",
    },
    Kind {
        name: "node:*",
        form: "string",
        holds: "a node: name, version, sessions, whether it drains, since when, as JSON",
        ttl: "`redis.lease_ms`",
    },
    Kind {
        name: "limit:*",
        form: "string",
        holds: "when the caller of this digest may ask for everything again, in microseconds since 1970",
        ttl: "60 s",
    },
    Kind {
        name: "once:*",
        form: "hash",
        holds: "`request` (digest), `owner`, and the `answer`: a request under an `Idempotency-Key`",
        ttl: "24 h, 15 min until it is answered",
    },
    Kind {
        name: "grant:*",
        form: "string",
        holds: "what the ticket or client secret of this digest opens: whose it is and its session's settings, as JSON",
        ttl: "60 s, or as long as the secret: at most 2 h",
    },
    Kind {
        name: "phrase:*",
        form: "string",
        holds: "speech, by the digest of what it depends on",
        ttl: "`redis.phrase_ttl_s`",
    },
];

/// How long the generation is remembered without any server.
pub(super) const GENERATION: Duration = Duration::from_secs(86_400);

/// How long an answer to a named request is kept.
pub const ANSWER: Duration = Duration::from_secs(86_400);

/// How long a named request may be in work: its server may have died.
pub const RUNNING: Duration = Duration::from_secs(900);

/// How long a grant is kept at most.
pub const GRANT_MAX: Duration = Duration::from_secs(7_200);

/// The longest that a key of this kind may live.
pub fn longest(kind: &Kind, config: &Config) -> Duration {
    match kind.name {
        "generation" | "once:*" => ANSWER,
        "snapshot:ses_*" | "token:*" => config.resume_window(),
        "phrase:*" => Duration::from_secs(config.phrase_ttl_s),
        "limit:*" => Duration::from_secs(60),
        "grant:*" => GRANT_MAX,
        _ => config.lease(),
    }
}

/// Makes names.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(config: &Config) -> Self {
        Self { prefix: config.prefix.clone() }
    }

    pub(super) fn generation(&self) -> String {
        format!("{}:generation", self.prefix)
    }

    pub(super) fn lease(&self, session: SessionId) -> String {
        format!("{}:lease:{session}", self.prefix)
    }

    pub(super) fn snapshot(&self, session: SessionId) -> String {
        format!("{}:snapshot:{session}", self.prefix)
    }

    pub(super) fn token(&self, token: Digest) -> String {
        self.digest("token", token)
    }

    pub(super) fn nodes(&self) -> String {
        format!("{}:nodes", self.prefix)
    }

    pub(super) fn node(&self, name: &str) -> String {
        format!("{}:node:{name}", self.prefix)
    }

    pub(super) fn limit(&self, caller: Digest) -> String {
        self.digest("limit", caller)
    }

    pub(super) fn once(&self, key: Digest) -> String {
        self.digest("once", key)
    }

    pub(super) fn grant(&self, name: Digest) -> String {
        self.digest("grant", name)
    }

    pub(super) fn phrase(&self, key: Digest) -> String {
        self.digest("phrase", key)
    }

    fn digest(&self, kind: &str, digest: Digest) -> String {
        format!("{}:{kind}:{}", self.prefix, hex(digest))
    }
}

/// A digest as text.
pub(super) fn hex(digest: Digest) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _a_string_takes_all = write!(text, "{byte:02x}");
        text
    })
}
