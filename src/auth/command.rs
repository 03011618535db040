//! `floe keys …`: arguments, and what is printed.

use std::io::{self, Write as _};

use clap::Subcommand;
use serde::Serialize;

use super::{DEFAULT_TENANT, Error, Identities, NewKey, Role, Scopes, identities::now_ms, keys::PAGE_MAX};
use crate::store::KeyRow;

/// What to do with API keys.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Makes a key, and prints it: this once, and never again.
    Create {
        /// What it is for. Two of a name may be active, so that a new one is in use before the old one is revoked.
        name: String,
        /// Of which tenant.
        #[arg(long, default_value = DEFAULT_TENANT)]
        tenant: String,
        /// Whose conversations it opens. A member's key needs one.
        #[arg(long)]
        user: Option<String>,
        /// admin (everything of the tenant) or member (what belongs to the user).
        #[arg(long, default_value = "admin")]
        role: Role,
        /// What it may do: any of talk, read, write, tickets, keys, separated by commas. Everything that its role may, if left out.
        #[arg(long, value_delimiter = ',')]
        scopes: Vec<String>,
        /// When it ends, in days from now; never, if left out.
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u32>,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Lists a tenant's keys, newest first. Of each only what does not open anything.
    List {
        /// Of which tenant.
        #[arg(long, default_value = DEFAULT_TENANT)]
        tenant: String,
        /// As a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Revokes a key. Running servers close the conversations that go on with it, within seconds.
    Revoke {
        /// Its id, as `floe keys list` shows it.
        id: String,
        /// Of which tenant.
        #[arg(long, default_value = DEFAULT_TENANT)]
        tenant: String,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// A key as programs read it.
#[derive(Serialize)]
struct View<'a> {
    id: String,
    name: &'a str,
    tenant: &'a str,
    user: Option<&'a str>,
    role: &'a str,
    scopes: Vec<&'a str>,
    prefix: String,
    state: &'static str,
    created_at: String,
    expires_at: Option<String>,
    ended_at: Option<String>,
    used_at: Option<String>,
    /// Only when it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

impl<'a> View<'a> {
    fn of(row: &'a KeyRow, key: Option<&'a str>) -> Self {
        Self {
            id: row.id.to_string(),
            name: &row.name,
            tenant: &row.tenant,
            user: row.user.as_deref(),
            role: &row.role,
            scopes: row.scopes.split_whitespace().collect(),
            prefix: format!("{}{}", super::KEY_PREFIX, row.prefix),
            state: row.state(now_ms()),
            created_at: rfc3339(row.created_at_ms),
            expires_at: row.expires_at_ms.map(rfc3339),
            ended_at: row.ended_at_ms.map(rfc3339),
            used_at: row.used_at_ms.map(rfc3339),
            key,
        }
    }
}

/// Does it. False if there was nothing to do it with.
pub async fn run(identities: &Identities, command: Command) -> Result<bool, Error> {
    match command {
        Command::Create { name, tenant, user, role, scopes, expires_in_days, json } => {
            let scopes = if scopes.is_empty() {
                role.scopes()
            } else {
                Scopes::of(scopes.iter().map(|word| word.trim())).map_err(|error| Error::Unfit(error.to_string()))?
            };
            let expires_at_ms = expires_in_days.map(|days| now_ms() + i64::from(days) * 86_400_000);
            let shown = identities.make_key(NewKey { tenant, user, name, role, scopes, expires_at_ms }).await?;
            if json {
                print_json(&View::of(&shown.row, Some(&shown.key)));
            } else {
                print(&format!("{}\n", shown.key));
                let note = format!("{}: kept nowhere in clear, and not shown again.\n", shown.row.id);
                let _closed = io::stderr().write_all(note.as_bytes());
            }
            Ok(true)
        }
        Command::List { tenant, json } => {
            let mut rows = Vec::new();
            loop {
                let page = identities.keys(&tenant, rows.last().map(|last: &KeyRow| last.id), PAGE_MAX).await?;
                let is_last = page.len() < PAGE_MAX as usize;
                rows.extend(page);
                if is_last {
                    break;
                }
            }
            let views: Vec<View<'_>> = rows.iter().map(|row| View::of(row, None)).collect();
            if json {
                print_json(&views);
            } else {
                views.iter().for_each(|view| print(&line(view)));
            }
            Ok(true)
        }
        Command::Revoke { id, tenant, json } => {
            let unknown = || Error::Unfit(format!("{id} is no id of a key: `floe keys list` shows them."));
            let revoked = identities.revoke_key(&tenant, id.parse().map_err(|_| unknown())?).await?;
            match (json, revoked) {
                (true, _) => print_json(&serde_json::json!({ "id": id, "revoked": revoked })),
                (false, true) => print(&format!("{id} is revoked\n")),
                (false, false) => {
                    let note = format!("the tenant {tenant} has no active key {id}\n");
                    let _closed = io::stderr().write_all(note.as_bytes());
                }
            }
            Ok(revoked)
        }
    }
}

/// One key for a person.
fn line(view: &View<'_>) -> String {
    let whose = view.user.map(|user| format!(" of {user}")).unwrap_or_default();
    let used = view.used_at.as_deref().unwrap_or("never used");
    format!(
        "{}  {}…  {:8} {}{whose}  {:?}  [{}]  used: {used}\n",
        view.id,
        view.prefix,
        view.state,
        view.role,
        view.name,
        view.scopes.join(" ")
    )
}

fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|at| format!("{at:.0}")).unwrap_or_default()
}

fn print(text: &str) {
    let _closed = io::stdout().write_all(text.as_bytes());
}

fn print_json(value: &impl Serialize) {
    print(&format!("{}\n", serde_json::to_string(value).unwrap_or_default()));
}
