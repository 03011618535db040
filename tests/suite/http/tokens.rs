//! Access tokens, signed here: whatever is wrong with one, it opens nothing. (With a real provider: tests/oidc.)

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, routing::get};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use floe::{
    auth::{
        Role,
        oidc::{Config, Provider, Trouble},
    },
    store::Reach,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

/// A provider's two pages, and how often they were read.
struct Pages {
    issuer: String,
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Pages {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let (keys, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let document = json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
            "authorization_endpoint": format!("{issuer}/auth"), "token_endpoint": format!("{issuer}/token"),
        });
        let (shown, count) = (Arc::clone(&keys), Arc::clone(&asked));
        let jwks = move || {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Json(json!({ "keys": *shown.lock().unwrap() })))
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(move || std::future::ready(Json(document.clone()))))
            .route("/keys", get(jwks));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum_serve(listener, router).await });
        Self { issuer, keys, asked, _serving: serving }
    }

    fn provider(&self) -> Provider {
        let config = Config {
            issuer: self.issuer.clone(),
            audience: "floe other".into(),
            leeway_s: 5,
            algorithms: "ES256 EdDSA".into(),
            ..Config::default()
        };
        Provider::new(&config).unwrap().unwrap()
    }
}

/// Serves a router on plain connections, as long as the task lives.
async fn axum_serve(listener: TcpListener, router: Router) {
    let limits = floe::http::server::Limits { connections_max: 64, header_timeout: std::time::Duration::from_secs(5) };
    floe::http::server::serve(listener, None, router, limits, tokio_util::sync::CancellationToken::new()).await;
}

/// A key that signs, and what its provider shows of it.
fn signing(kid: &str, algorithm: Algorithm) -> (EncodingKey, Value) {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let _installed = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
    if algorithm == Algorithm::EdDSA {
        let seed = *uuid::Uuid::new_v4().simple().encode_lower(&mut [0; 32]).as_bytes().first_chunk::<32>().unwrap();
        // PKCS #8 around the seed (RFC 8410).
        let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let x = BASE64_URL_SAFE_NO_PAD.encode(ring::signature::KeyPair::public_key(&pair));
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "EdDSA", "use": "sig" });
        return (EncodingKey::from_ed_der(&[&head[..], &seed].concat()), jwk);
    }
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let key = EncodingKey::from_ec_der(&pair.serialize_der());
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
    jwk["kid"] = json!(kid);
    (key, jwk)
}

fn header(kid: &str, algorithm: Algorithm) -> Header {
    Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) }
}

fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn claims(issuer: &str) -> Value {
    json!({ "iss": issuer, "aud": "floe", "sub": "ann", "exp": now_s() + 60, "iat": now_s() })
}

/// The claims with this one changed, or taken out.
fn but(claims: &Value, name: &str, value: Value) -> Value {
    let mut changed = claims.clone();
    if value.is_null() {
        changed.as_object_mut().unwrap().remove(name);
    } else {
        changed[name] = value;
    }
    changed
}

#[tokio::test]
async fn a_token_opens_if_everything_about_it_is_right() {
    let pages = Pages::start().await;
    let (key, jwk) = signing("a", Algorithm::ES256);
    let (ed, ed_jwk) = signing("ed", Algorithm::EdDSA);
    let (stranger, _) = signing("a", Algorithm::ES256);
    let odd = json!({ "kty": "quantum", "kid": "q", "alg": "QS1" });
    *pages.keys.lock().unwrap() = vec![odd, jwk, ed_jwk];
    let provider = pages.provider();
    let good = claims(&pages.issuer);
    let es = || header("a", Algorithm::ES256);
    let who = provider.token_holder(&encode(&es(), &good, &key).unwrap()).await.unwrap();
    assert_eq!((who.tenant.as_str(), who.user.as_deref(), who.role), ("default", Some("ann"), Role::Member));
    assert_eq!(who.scope().reach, Reach::User("ann"));
    assert_eq!(who.credential.expires_at_ms, Some((good["exp"].as_i64().unwrap() + 5) * 1_000), "with its leeway");
    for fine in [
        encode(&header("ed", Algorithm::EdDSA), &good, &ed).unwrap(),
        encode(&es(), &but(&good, "aud", json!(["somebody", "other"])), &key).unwrap(),
        encode(&es(), &but(&good, "exp", json!(now_s() - 2)), &key).unwrap(),
        encode(&es(), &but(&good, "nbf", json!(now_s() + 2)), &key).unwrap(),
        encode(&Header { typ: Some("at+jwt".into()), ..es() }, &good, &key).unwrap(),
    ] {
        provider.token_holder(&fine).await.unwrap();
    }
    let crit = Header { crit: Some(vec!["exp".into()]), ..es() };
    let wrong = [
        ("expired", es(), but(&good, "exp", json!(now_s() - 60))),
        ("no end", es(), but(&good, "exp", Value::Null)),
        ("an end in words", es(), but(&good, "exp", json!(format!("{}", now_s() + 60)))),
        ("not yet", es(), but(&good, "nbf", json!(now_s() + 60))),
        ("not yet, in words", es(), but(&good, "nbf", json!("soon"))),
        ("no issuer", es(), but(&good, "iss", Value::Null)),
        ("another issuer", es(), but(&good, "iss", json!("https://evil.example"))),
        ("almost the issuer", es(), but(&good, "iss", json!(format!("{}/", pages.issuer)))),
        ("no audience", es(), but(&good, "aud", Value::Null)),
        ("another audience", es(), but(&good, "aud", json!("floe2"))),
        ("nobody", es(), but(&good, "sub", Value::Null)),
        ("nobody, in letters", es(), but(&good, "sub", json!(""))),
        ("a number", es(), but(&good, "sub", json!(7))),
        ("another key's name", header("ed", Algorithm::ES256), good.clone()),
        ("a key that is none", header("b", Algorithm::ES256), good.clone()),
        ("for a logout", Header { typ: Some("logout+jwt".into()), ..es() }, good.clone()),
        ("with an extension", crit, good.clone()),
    ];
    for (what, header, claims) in wrong {
        let token = encode(&header, &claims, &key).unwrap();
        assert!(matches!(provider.token_holder(&token).await, Err(Trouble::Wrong(_))), "{what}");
    }
    let theirs = encode(&es(), &good, &stranger).unwrap();
    // A key that a token brings along is nobody's.
    let mut own = es();
    own.jwk = Some(Jwk::from_encoding_key(&stranger, Algorithm::ES256).unwrap());
    own.jku = Some("https://evil.example/keys".into());
    let with_own = encode(&own, &good, &stranger).unwrap();
    let right = encode(&es(), &good, &key).unwrap();
    let [head, body, signature] = <[&str; 3]>::try_from(right.split('.').collect::<Vec<_>>()).unwrap();
    let text = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let none = text(json!({ "alg": "none", "kid": "a" }));
    let hmac = encode(&header("a", Algorithm::HS256), &good, &EncodingKey::from_secret(b"public")).unwrap();
    for (what, token) in [
        ("another's key", theirs),
        ("its own key", with_own),
        ("no signature", format!("{head}.{body}.")),
        ("no algorithm", format!("{none}.{body}.")),
        ("no algorithm, and a signature", format!("{none}.{body}.{signature}")),
        ("other claims", format!("{head}.{}.{signature}", text(but(&good, "sub", json!("boss"))))),
        ("a secret", hmac),
        ("nothing", "..".into()),
        ("no base64", "a!.b!.c!".into()),
        ("too long", format!("{head}.{}.{signature}", "a".repeat(20_000))),
    ] {
        assert!(matches!(provider.token_holder(&token).await, Err(Trouble::Wrong(_))), "{what}");
    }
}

#[tokio::test]
async fn keys_are_asked_for_again_when_they_change_and_not_whenever_somebody_wants() {
    let pages = Pages::start().await;
    let ((old, old_jwk), (new, new_jwk)) = (signing("old", Algorithm::ES256), signing("new", Algorithm::ES256));
    *pages.keys.lock().unwrap() = vec![old_jwk.clone()];
    let provider = pages.provider();
    let good = claims(&pages.issuer);
    let of = |kid: &str, key: &EncodingKey| encode(&header(kid, Algorithm::ES256), &good, key).unwrap();
    provider.token_holder(&of("old", &old)).await.unwrap();
    *pages.keys.lock().unwrap() = vec![old_jwk, new_jwk];
    for odd in 0..200 {
        assert!(provider.token_holder(&of(&format!("odd-{odd}"), &new)).await.is_err());
    }
    let asked = pages.asked.load(Ordering::Relaxed);
    assert!(asked <= 3, "the provider was asked {asked} times");
    let found = async {
        while provider.token_holder(&of("new", &new)).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), found).await.expect("the new key is found");
    provider.token_holder(&of("old", &old)).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_is_away_or_another_is_no_reason_to_believe_anything() {
    let (key, jwk) = signing("a", Algorithm::ES256);
    let pages = Pages::start().await;
    *pages.keys.lock().unwrap() = vec![jwk];
    let away = Config { issuer: "http://127.0.0.1:1".into(), audience: "floe".into(), ..Config::default() };
    let provider = Provider::new(&away).unwrap().unwrap();
    let token = encode(&header("a", Algorithm::ES256), &claims(&away.issuer), &key).unwrap();
    assert!(matches!(provider.token_holder(&token).await, Err(Trouble::Away(_))));
    // The document names another issuer than the configuration: localhost is not 127.0.0.1.
    let other = pages.issuer.replace("127.0.0.1", "localhost");
    let provider = Provider::new(&Config { issuer: other.clone(), ..away }).unwrap().unwrap();
    let token = encode(&header("a", Algorithm::ES256), &claims(&other), &key).unwrap();
    assert!(matches!(provider.token_holder(&token).await, Err(Trouble::Away(_))));
}

#[test]
fn settings_that_would_believe_too_much_are_refused() {
    let config = |issuer: &str, algorithms: &str| Config {
        issuer: issuer.into(),
        algorithms: algorithms.into(),
        ..Config::default()
    };
    for algorithms in ["HS256", "RS256 HS512", "none", ""] {
        let error = Provider::new(&config("https://id.example", algorithms)).unwrap_err();
        assert!(error.to_string().contains("auth.oidc.algorithms"), "{algorithms}: {error}");
    }
    for issuer in ["http://id.example", "id.example", "ftp://localhost"] {
        assert!(Provider::new(&config(issuer, "RS256")).is_err(), "{issuer}");
    }
    let login = Config { client_id: "floe".into(), ..config("https://id.example", "RS256") };
    assert!(Provider::new(&login).unwrap_err().to_string().contains("redirect_url"));
    assert!(Provider::new(&Config::default()).unwrap().is_none());
}
