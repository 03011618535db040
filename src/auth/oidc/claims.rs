//! What a token says becomes somebody.

use serde_json::{Map, Value};

use super::{Config, Trouble};
use crate::auth::{DEFAULT_TENANT, NAME_BYTES_MAX, Role};

/// Somebody whom the provider knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Of which tenant.
    pub tenant: String,
    /// The provider's name for the user.
    pub user: String,
    /// Admin or member.
    pub role: Role,
}

/// Claims as they come.
pub(super) type Claims = Map<String, Value>;

/// Who that is, by the mapping of the configuration.
pub(super) fn who(config: &Config, claims: &Claims) -> Result<Who, Trouble> {
    let user = claims.get("sub").and_then(Value::as_str).filter(|user| is_name(user));
    let user = user.ok_or(Trouble::Wrong("the token names nobody"))?;
    let tenant = match config.tenant_claim.as_str() {
        "" => DEFAULT_TENANT,
        path => {
            claim(claims, path).and_then(Value::as_str).filter(|tenant| is_name(tenant)).ok_or(Trouble::NotAllowed)?
        }
    };
    let values = words(claim(claims, &config.role_claim));
    let has_any = |wanted: &str| wanted.split_whitespace().any(|wanted| values.contains(&wanted));
    let role = if has_any(&config.admin_values) {
        Role::Admin
    } else if config.member_values.trim().is_empty() || has_any(&config.member_values) {
        Role::Member
    } else {
        return Err(Trouble::NotAllowed);
    };
    Ok(Who { tenant: tenant.to_owned(), user: user.to_owned(), role })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

/// The claim of this name, or if there is none, claim by claim along its dots.
fn claim<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        claim(claims.get(first)?.as_object()?, rest)
    })
}

/// A list of words, or words with blanks between them.
fn words(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => text.split_whitespace().collect(),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(config: &Config, claims: Value) -> Result<Who, Trouble> {
        who(config, claims.as_object().unwrap())
    }

    #[test]
    fn roles_and_tenants_come_from_the_claims_that_are_configured() {
        let mut config = Config::default();
        assert_eq!(of(&config, json!({ "sub": "ann" })).unwrap().role, Role::Member);
        config.role_claim = "realm_access.roles".into();
        config.admin_values = "boss chief".into();
        let roles = |roles: Value| json!({ "sub": "ann", "realm_access": { "roles": roles } });
        assert_eq!(of(&config, roles(json!(["staff", "chief"]))).unwrap().role, Role::Admin);
        assert_eq!(of(&config, roles(json!("staff boss"))).unwrap().role, Role::Admin);
        assert_eq!(of(&config, roles(json!(["staff"]))).unwrap().role, Role::Member);
        config.member_values = "staff".into();
        assert_eq!(of(&config, roles(json!(["staff"]))).unwrap().role, Role::Member);
        for nobody in [roles(json!(["guest"])), roles(json!(7)), json!({ "sub": "ann" })] {
            assert!(matches!(of(&config, nobody), Err(Trouble::NotAllowed)));
        }
        config = Config { tenant_claim: "https://example.org/tenant".into(), ..Config::default() };
        let tenant = |tenant: Value| json!({ "sub": "ann", "https://example.org/tenant": tenant });
        assert_eq!(of(&config, tenant(json!("acme"))).unwrap().tenant, "acme");
        assert!(matches!(of(&config, tenant(json!(""))), Err(Trouble::NotAllowed)), "never the default by mistake");
        assert!(matches!(of(&config, json!({ "sub": "" })), Err(Trouble::Wrong(_))));
        assert!(matches!(of(&config, json!({ "sub": 7 })), Err(Trouble::Wrong(_))));
    }
}
