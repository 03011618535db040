//! One event to one webhook, signed as Standard Webhooks says: the receiver knows who sent it, when, and whether it has had it.
//!
//! A receiver may get a message twice (our server was killed after it answered); the id is the same then. It refuses what is
//! older than five minutes: each attempt is signed anew, with its own time.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Failure, Job};
use crate::{
    ids::HookId,
    reach,
    store::{
        Store,
        jobs::{Claimed, Effect, kind},
        now_ms,
    },
};

/// The job.
pub struct Deliver {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    reach: reach::Client,
}

/// What such a job says.
#[derive(Debug, Deserialize)]
struct Payload {
    hook: String,
    body: String,
}

impl Deliver {
    /// To the webhooks of this store.
    pub fn new(store: Store, reach: reach::Client) -> Self {
        Self { inner: Arc::new(Inner { store, reach }) }
    }
}

impl Job for Deliver {
    fn kind(&self) -> &'static str {
        kind::WEBHOOK
    }

    fn run(&self, job: Claimed) -> BoxFuture<'static, Result<Effect, Failure>> {
        Arc::clone(&self.inner).deliver(job).boxed()
    }
}

impl Inner {
    async fn deliver(self: Arc<Self>, job: Claimed) -> Result<Effect, Failure> {
        let nonsense = || Failure::Never("its payload is none".into());
        let Payload { hook, body } = serde_json::from_value(job.payload.clone()).map_err(|_| nonsense())?;
        let hook: HookId = hook.parse().map_err(|_| nonsense())?;
        let Some(hook) = self.store.webhook(&job.tenant, hook).await?.filter(|hook| hook.gone_at_ms.is_none()) else {
            // Taken out meanwhile.
            return Ok(Effect::Nothing);
        };
        let (id, at_s) = (format!("msg_{}", job.id.uuid().simple()), now_ms() / 1_000);
        let signature =
            sign(&hook.secret, &id, at_s, &body).ok_or_else(|| Failure::Never("its secret is none".into()))?;
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", id.as_str()),
            ("webhook-timestamp", &at_s.to_string()),
            ("webhook-signature", &signature),
        ];
        match self.reach.post(&hook.url, &headers, Bytes::from(body)).await {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(Effect::Nothing),
            Ok(answer) if answer.status == 410 => Ok(Effect::HookGone(hook.id.uuid())),
            Ok(answer) => Err(Failure::Later(format!("it was answered with {}", answer.status))),
            // It was delivered; what else it says is nobody's business.
            Err(reach::Error::TooLong) => Ok(Effect::Nothing),
            Err(error @ reach::Error::NoAddress) => Err(Failure::Never(error.to_string())),
            // Names change: it may lead elsewhere tomorrow.
            Err(error) => Err(Failure::Later(error.to_string())),
        }
    }
}

/// What every secret begins with.
pub const PREFIX: &str = "whsec_";

/// A fresh secret of 256 bits.
pub fn new_secret() -> SecretString {
    // 244 random bits in two ids, spread over all of them.
    let (one, other) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let bytes = Sha256::new().chain_update(one.as_bytes()).chain_update(other.as_bytes()).finalize();
    format!("{PREFIX}{}", STANDARD.encode(bytes)).into()
}

/// The signature of a message. `None` if the secret is none.
fn sign(secret: &SecretString, id: &str, at_s: i64, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.expose_secret().strip_prefix(PREFIX)?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{at_s}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        // The example of their reference implementations.
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(sign(&"nonsense".into(), "msg", 1, ""), None);
        let (one, other) = (new_secret(), new_secret());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert!(sign(&one, "msg", 1, "{}").is_some());
    }
}
