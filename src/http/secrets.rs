//! Client secrets (`ek_…`): made by somebody with a key, handed to a browser or a device, good for a while.

use std::time::{Duration, SystemTime};

use moka::{Expiry, sync::Cache};
use serde_json::Value;
use uuid::Uuid;

use super::auth::{Hash, Visitor, digest};
use crate::{auth::Principal, protocol::openai::Kind};

/// What every secret begins with; OpenAI's browser libraries accept no other.
pub(super) const PREFIX: &str = "ek_";

/// How long a secret may be good for, in seconds.
pub(super) const TTL_S: std::ops::RangeInclusive<u64> = 10..=7_200;

/// How long it is if nobody says.
pub(super) const TTL_DEFAULT_S: u64 = 600;

/// Secrets at a time: further ones push out those that are used least.
const SECRETS_MAX: u64 = 10_000;

/// Digits of a secret after its prefix: 43 of base 62 hold 256 bits.
const DIGITS: usize = 43;

/// What a secret opens.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// The kind of session.
    pub(super) kind: Kind,
    /// The session object, checked when the secret was made.
    pub(super) session: Option<Value>,
    /// When it ends, in seconds since 1970.
    pub(super) expires_at: u64,
}

/// The secrets of this process, by their digests: the secrets themselves are kept nowhere, and a restart forgets all.
#[derive(Debug, Clone)]
pub(super) struct Secrets {
    /// Bounded by [`SECRETS_MAX`].
    bound: Cache<Hash, (Principal, Bound)>,
}

/// Entries leave at their end.
struct AtItsEnd;

impl Expiry<Hash, (Principal, Bound)> for AtItsEnd {
    fn expire_after_create(
        &self,
        _: &Hash,
        (_, bound): &(Principal, Bound),
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(Duration::from_secs(bound.expires_at.saturating_sub(now_s())))
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self { bound: Cache::builder().max_capacity(SECRETS_MAX).expire_after(AtItsEnd).build() }
    }
}

impl Secrets {
    /// A new secret with which its holder is `principal`, and gets `bound`. It may open several sessions until it ends; those go on after that.
    pub(super) fn make(&self, principal: Principal, bound: Bound) -> String {
        let secret = format!("{PREFIX}{}", random_digits());
        self.bound.insert(digest(&secret), (principal, bound));
        secret
    }

    /// Who has a secret, and what it opens; `None` if it is none, or has ended.
    pub(super) fn open(&self, secret: &str) -> Option<Visitor> {
        let (principal, bound) = self.bound.get(&digest(secret)).filter(|(_, bound)| bound.expires_at > now_s())?;
        Some(Visitor { principal, bound: Some(bound) })
    }
}

/// 256 bits of which 244 come from the operating system, in characters that fit anywhere.
fn random_digits() -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let noise = format!("{}{}", Uuid::new_v4(), Uuid::new_v4());
    let mut number = digest(&noise);
    let digit = |number: &mut Hash| {
        // Long division by 62: the remainder is the next digit.
        number.iter_mut().fold(0_u32, |rest, byte| {
            let value = rest << 8 | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            value % 62
        })
    };
    (0..DIGITS).map(|_| char::from(ALPHABET[digit(&mut number) as usize])).collect()
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "OpenAI's protocol tells ends as wall time")]
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(expires_at: u64) -> Bound {
        Bound { kind: Kind::Realtime, session: None, expires_at }
    }

    #[test]
    fn secrets_differ_and_fit_into_a_subprotocol() {
        let secrets = Secrets::default();
        let one = secrets.make(Principal::anybody(), until(now_s() + 100));
        let other = secrets.make(Principal::anybody(), until(now_s() + 100));
        assert_ne!(one, other);
        assert_eq!(one.len(), PREFIX.len() + DIGITS);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{one}");
        assert!(secrets.open(&one).is_some() && secrets.open(&other).is_some());
        assert!(secrets.open("ek_0").is_none());
    }

    #[test]
    fn what_has_ended_opens_nothing() {
        let secrets = Secrets::default();
        let secret = secrets.make(Principal::anybody(), until(now_s()));
        assert!(secrets.open(&secret).is_none());
        assert!(!format!("{secrets:?}").contains(&secret));
    }
}
