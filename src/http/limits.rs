//! How much one caller may ask, and who a caller is.

use std::net::{IpAddr, Ipv6Addr};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue},
};
use sha2::{Digest as _, Sha256};

use super::{App, Config, auth::visitor, server::Peer};
use crate::{
    store::shared::{Digest, Limit, Taken},
    telemetry::metrics,
};

/// The limits of a configuration.
#[derive(Debug)]
pub struct Limits {
    requests: Option<Limit>,
    proxies: Proxies,
}

/// Whose word about callers' addresses counts.
#[derive(Debug, Default)]
struct Proxies {
    loopback: bool,
    private: bool,
    named: Vec<IpAddr>,
}

impl Limits {
    /// As configured. Words of `server.trusted_proxies` that are no addresses trust nobody, and are told to the log.
    pub fn of(config: &Config) -> Self {
        let mut proxies = Proxies::default();
        for word in config.trusted_proxies.split_whitespace() {
            match (word, word.parse()) {
                ("loopback", _) => proxies.loopback = true,
                ("private", _) => (proxies.loopback, proxies.private) = (true, true),
                (_, Ok(address)) => proxies.named.push(address),
                (_, Err(_)) => {
                    tracing::warn!("server.trusted_proxies: a word is neither loopback, private nor an address")
                }
            }
        }
        Self {
            requests: (config.requests_per_minute > 0).then(|| Limit::per_minute(config.requests_per_minute)),
            proxies,
        }
    }
}

impl Proxies {
    fn trust(&self, address: IpAddr) -> bool {
        let is_private = match address {
            IpAddr::V4(v4) => v4.is_private(),
            IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
        };
        (self.loopback && address.is_loopback()) || (self.private && is_private) || self.named.contains(&address)
    }
}

/// Counts a request. None if nothing is limited.
pub(super) fn take(app: &App, request: &Request) -> impl Future<Output = Option<Taken>> + Send + use<> {
    let counted = app.limits.requests.map(|limit| (app.shared.clone(), caller(app, request), limit));
    async move {
        let (shared, caller, limit) = counted?;
        let taken = shared.take(caller, limit, 1).await;
        if !taken.is_allowed {
            metrics::rate_limited();
        }
        Some(taken)
    }
}

/// Who asks: a principal, or where nothing need be shown or it is none of ours, an address. Only the digest leaves this
/// function.
pub(super) fn caller(app: &App, request: &Request) -> Digest {
    let headers = request.headers();
    if let Ok(visitor) = visitor(request.extensions())
        && !visitor.principal.is_anybody()
    {
        return digest(b"principal", &visitor.principal.counted_as());
    }
    let peer = request.extensions().get::<Peer>().map(|Peer(address)| address.to_canonical());
    let address =
        peer.map(|peer| if app.limits.proxies.trust(peer) { forwarded(headers).unwrap_or(peer) } else { peer });
    match address {
        Some(IpAddr::V4(v4)) => digest(b"address", &v4.octets()),
        // Whoever has one address of a network of this size has all of them.
        Some(IpAddr::V6(v6)) => digest(b"address", &network(v6)),
        None => digest(b"address", b""),
    }
}

/// The address that the proxy before us has added, after whatever the client wrote there itself.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn network(address: Ipv6Addr) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    [a, b, c, d, e, f, g, h]
}

fn digest(kind: &[u8], of: &[u8]) -> Digest {
    Sha256::new().chain_update(kind).chain_update([0]).chain_update(of).finalize().into()
}

/// Milliseconds as whole seconds that are not too early.
pub(super) fn seconds(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// Sets headers whose values are numbers or made of them.
pub(super) fn set(headers: &mut HeaderMap, values: impl IntoIterator<Item = (&'static str, String)>) {
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(trusted_proxies: &str) -> Limits {
        Limits::of(&Config { trusted_proxies: trusted_proxies.into(), ..Config::default() })
    }

    #[test]
    fn only_proxies_that_are_named_are_believed() {
        let (loopback, neighbour, strange) = ("127.0.0.1", "172.18.0.5", "203.0.113.9");
        let trusts =
            |limits: &Limits| [loopback, neighbour, strange].map(|ip| limits.proxies.trust(ip.parse().unwrap()));
        assert_eq!(trusts(&of("loopback")), [true, false, false]);
        assert_eq!(trusts(&of("private")), [true, true, false]);
        assert_eq!(trusts(&of("203.0.113.9")), [false, false, true]);
        assert_eq!(trusts(&of("")), [false; 3]);
        assert_eq!(trusts(&of("everybody")), [false; 3]);
    }

    #[test]
    fn the_last_word_about_an_address_is_the_proxys() {
        let headers = |values: &[&str]| -> HeaderMap {
            values
                .iter()
                .map(|value| (axum::http::HeaderName::from_static("x-forwarded-for"), value.parse().unwrap()))
                .collect()
        };
        assert_eq!(forwarded(&headers(&["10.0.0.1, 203.0.113.9"])), Some("203.0.113.9".parse().unwrap()));
        assert_eq!(forwarded(&headers(&["10.0.0.1", "203.0.113.9"])), Some("203.0.113.9".parse().unwrap()));
        assert_eq!(forwarded(&headers(&["somebody"])), None);
        assert_eq!(forwarded(&headers(&[])), None);
    }

    #[test]
    fn without_a_number_nothing_is_limited() {
        assert_eq!(of("").requests, None);
        assert_eq!(seconds(0), 0);
        assert_eq!(seconds(1), 1);
        assert_eq!(seconds(1_000), 1);
    }
}
