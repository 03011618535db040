//! Addresses: `https://www.example.com/a/b?c=d` is said as `example dot com`.

use linkify::{LinkFinder, LinkKind};

/// `text` with every web and mail address as it is said (in other languages: as its bare host).
pub(super) fn spoken(text: &str, english: bool) -> String {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url, LinkKind::Email]).url_must_have_scheme(false);
    let mut out = String::with_capacity(text.len());
    for span in finder.spans(text) {
        match span.kind() {
            Some(LinkKind::Email) => out.push_str(&mail(span.as_str(), english)),
            Some(LinkKind::Url) => match host(span.as_str()) {
                Some(host) => out.push_str(&dotted(host, english)),
                None => out.push_str(span.as_str()),
            },
            _ => out.push_str(span.as_str()),
        }
    }
    out
}

/// The host of an address. `None` for what only looks like one: without a scheme, `end.The` is a missing space and
/// `10.5` a number.
fn host(url: &str) -> Option<&str> {
    let (has_scheme, rest) = match url.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, url),
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = host.split(':').next()?;
    let host = host.strip_prefix("www.").unwrap_or(host);
    let (_, last) = host.rsplit_once('.').unwrap_or(("", host));
    let plausible = has_scheme || (last.len() >= 2 && last.bytes().all(|b| b.is_ascii_lowercase()));
    (plausible && !host.is_empty()).then_some(host)
}

fn mail(address: &str, english: bool) -> String {
    match address.rsplit_once('@') {
        Some((name, host)) if english => format!("{} at {}", dotted(name, true), dotted(host, true)),
        _ => address.to_owned(),
    }
}

fn dotted(host: &str, english: bool) -> String {
    if english { host.replace('.', " dot ") } else { host.to_owned() }
}
