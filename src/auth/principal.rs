//! Who somebody is, and what that allows.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::{
    ids::ConversationId,
    store::{Reach, Scope, shared::Digest},
};

/// Somebody who was let in. Every route and every socket is handed one by the door, and nothing else decides who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// Whose installation it is, as it were; `default` where nobody says otherwise.
    pub tenant: String,
    /// Which user of the tenant. What is made belongs to this user; without one to the tenant alone.
    pub user: Option<String>,
    /// What of the tenant's may be seen.
    pub role: Role,
    /// What may be done.
    pub scopes: Scopes,
    /// What was shown at the door.
    pub credential: Credential,
}

/// What of a tenant's somebody may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// What belongs to the user.
    Member,
    /// May talk, and sees nothing but the conversation it is in.
    Device,
}

/// What somebody may do: a set of [`Scopes::WORDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

/// What was shown at the door, without any secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Credential {
    /// Its id, with its kind as a prefix. Empty: nothing had to be shown.
    pub id: String,
    /// Ids of the credentials it was made with, the nearest first: it ends with any of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_with: Vec<String>,
    /// When it ends, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<i64>,
    /// The one conversation that a device may go on with.
    #[serde(default, with = "as_text", skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
}

/// The tenant of everybody whom nobody assigns to another.
pub const DEFAULT_TENANT: &str = "default";

/// Longest name of a tenant or a user, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

impl Principal {
    /// Anybody, where nothing has to be shown.
    pub fn anybody() -> Self {
        Self {
            tenant: DEFAULT_TENANT.to_owned(),
            user: None,
            role: Role::Admin,
            scopes: Scopes::ALL,
            credential: Credential::default(),
        }
    }

    /// The holder of a key that stands in the configuration.
    pub fn of_configured_key(digest: &Digest) -> Self {
        // Enough to tell keys apart, and to say in a log which it was.
        let id = digest.iter().take(8).fold(String::from("configured_"), |id, byte| format!("{id}{byte:02x}"));
        Self { credential: Credential { id, ..Credential::default() }, ..Self::anybody() }
    }

    /// Whether nothing had to be shown.
    pub fn is_anybody(&self) -> bool {
        self.credential.id.is_empty()
    }

    /// What of the store this is about.
    pub fn scope(&self) -> Scope<'_> {
        let reach = match (self.role, &self.user, self.credential.conversation) {
            (Role::Admin, ..) => Reach::Tenant,
            (Role::Member, Some(user), _) => Reach::User(user),
            (Role::Device, _, Some(conversation)) => Reach::One(conversation),
            (Role::Member, None, _) | (Role::Device, _, None) => Reach::Nothing,
        };
        Scope { tenant: &self.tenant, reach }
    }

    /// Whether these are all allowed.
    pub fn may(&self, scopes: Scopes) -> bool {
        self.scopes.has(scopes)
    }

    /// Whose a live session is: whoever comes back to it must be the same.
    pub fn owner(&self) -> Digest {
        digest(&["owner", &self.tenant, self.user.as_deref().unwrap_or_default()])
    }

    /// By what limits and named requests are counted: the user, or without one the credential that all others come from.
    pub fn counted_as(&self) -> Digest {
        match &self.user {
            Some(user) => digest(&["user", &self.tenant, user]),
            None => digest(&["credential", self.credential.ids().last().unwrap_or_default()]),
        }
    }
}

impl Credential {
    /// Its id and those of the credentials it was made with.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.made_with.iter().map(String::as_str))
    }

    /// One that is made with this one, and ends with it.
    pub fn child(&self, id: String) -> Self {
        let made_with = self.ids().filter(|id| !id.is_empty()).map(str::to_owned).collect();
        Self { id, made_with, expires_at_ms: self.expires_at_ms, conversation: self.conversation }
    }
}

impl Role {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Device => "device",
        }
    }

    /// What this role may do where nobody says less.
    pub const fn scopes(self) -> Scopes {
        match self {
            Self::Admin => Scopes::ALL,
            Self::Member => Scopes(Scopes::ALL.0 & !Scopes::KEYS.0),
            Self::Device => Scopes::TALK,
        }
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Admin, Self::Member, Self::Device]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownWord { kind: "role", known: "admin, member, device" })
    }
}

/// A text that is none of some words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} is one of {known}")]
pub struct UnknownWord {
    kind: &'static str,
    known: &'static str,
}

impl Scopes {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Conversations, recordings, transcription and speech.
    pub const TALK: Self = Self(1);
    /// Reading what was said.
    pub const READ: Self = Self(2);
    /// Changing and deleting what is kept.
    pub const WRITE: Self = Self(4);
    /// Making tickets and client secrets for browsers and devices.
    pub const TICKETS: Self = Self(8);
    /// Managing API keys; an admin's alone.
    pub const KEYS: Self = Self(16);
    /// Everything.
    pub const ALL: Self = Self(31);

    /// Every scope by its word.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("talk", Self::TALK),
        ("read", Self::READ),
        ("write", Self::WRITE),
        ("tickets", Self::TICKETS),
        ("keys", Self::KEYS),
    ];

    /// Whether all of `others` are in it.
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Those of these words.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownWord> {
        words.into_iter().try_fold(Self::NONE, |scopes, word| {
            let known = Self::WORDS.iter().find(|(known, _)| *known == word);
            let (_, scope) = known.ok_or(UnknownWord { kind: "scope", known: "talk, read, write, tickets, keys" })?;
            Ok(Self(scopes.0 | scope.0))
        })
    }

    /// Their words.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS.into_iter().filter(move |(_, scope)| self.has(*scope)).map(|(word, _)| word)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().collect::<Vec<_>>().join(" "))
    }
}

impl std::str::FromStr for Scopes {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::of(text.split_whitespace())
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The digest of words; a NUL, which is in none of them, keeps "ab" + "c" and "a" + "bc" apart.
fn digest(words: &[&str]) -> Digest {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

/// A conversation's id as people see it.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use crate::ids::ConversationId;

    pub(super) fn serialize<S: Serializer>(id: &Option<ConversationId>, serializer: S) -> Result<S::Ok, S::Error> {
        id.map(|id| id.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ConversationId>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_reaches_what_it_should() {
        let mut principal = Principal::anybody();
        assert_eq!(principal.scope().reach, Reach::Tenant);
        principal.role = Role::Member;
        assert_eq!(principal.scope().reach, Reach::Nothing, "a member without a user owns nothing");
        principal.user = Some("ann".into());
        assert_eq!(principal.scope().reach, Reach::User("ann"));
        principal.role = Role::Device;
        assert_eq!(principal.scope().reach, Reach::Nothing, "a device does not see what its user owns");
        let conversation = ConversationId::new();
        principal.credential.conversation = Some(conversation);
        assert_eq!(principal.scope().reach, Reach::One(conversation));
        assert!(!Role::Member.scopes().has(Scopes::KEYS) && !Role::Device.scopes().has(Scopes::READ));
    }

    #[test]
    fn owners_are_told_apart() {
        let of = |tenant: &str, user: Option<&str>| Principal {
            tenant: tenant.into(),
            user: user.map(str::to_owned),
            ..Principal::anybody()
        };
        let all = [of("a", Some("bc")), of("ab", Some("c")), of("a", None), of("b", None)];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other.owner() != one.owner()));
        }
    }

    #[test]
    fn a_principal_comes_back_from_json_as_it_was() {
        let parent = Principal::of_configured_key(&[7; 32]).credential;
        let credential = Credential { conversation: Some(ConversationId::new()), ..parent.child("ticket_1".into()) };
        let principal = Principal { credential, scopes: Scopes::TALK, ..Principal::anybody() };
        let json = serde_json::to_string(&principal).unwrap();
        assert_eq!(serde_json::from_str::<Principal>(&json).unwrap(), principal);
        assert_eq!(principal.credential.made_with, ["configured_0707070707070707"]);
        assert!("talk fly".parse::<Scopes>().is_err() && "talk read".parse::<Scopes>().unwrap().has(Scopes::READ));
    }
}
