-- Who may come in. The same tables as migrations/postgres, where every column is explained. Changes only ever add.

-- Serves the list and the usage figures of one user, newest first, by time range; also finding a user's conversations for a
-- search in them, for export and for erasure.
CREATE INDEX conversations_by_user ON conversations (tenant_id, user_id, id);

CREATE TABLE api_keys (
    id            BLOB    NOT NULL PRIMARY KEY,
    tenant_id     TEXT    NOT NULL,
    user_id       TEXT,
    name          TEXT    NOT NULL,
    slot          INTEGER NOT NULL CHECK (slot IN (1, 2)),
    prefix        TEXT    NOT NULL,
    digest        BLOB    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('admin', 'member')),
    scopes        TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    ended_at_ms   INTEGER,
    used_at_ms    INTEGER
) STRICT, WITHOUT ROWID;

-- Serves the door: finding a key by what is shown of it.
CREATE UNIQUE INDEX api_keys_by_prefix ON api_keys (prefix);

-- Serves making a key: two of a name, and no third.
CREATE UNIQUE INDEX api_keys_by_name ON api_keys (tenant_id, name, slot) WHERE ended_at_ms IS NULL;

-- Serves the list of a tenant's keys, newest first.
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, id);

CREATE TABLE logins (
    id            BLOB    NOT NULL PRIMARY KEY,
    tenant_id     TEXT    NOT NULL,
    user_id       TEXT,
    digest        BLOB    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('admin', 'member')),
    scopes        TEXT    NOT NULL,
    credential    TEXT,
    created_at_ms INTEGER NOT NULL,
    used_at_ms    INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    ended_at_ms   INTEGER,
    refresh       BLOB,
    refresh_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Serves the door: finding a login by its cookie.
CREATE UNIQUE INDEX logins_by_digest ON logins (digest);

-- Serves erasing a user.
CREATE INDEX logins_by_user ON logins (tenant_id, user_id);

CREATE TABLE revocations (
    credential    TEXT    NOT NULL PRIMARY KEY,
    tenant_id     TEXT    NOT NULL,
    revoked_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Whatever ends a key or a login also ends the conversations that go on with it.
CREATE TRIGGER api_keys_ended AFTER UPDATE OF ended_at_ms ON api_keys WHEN new.ended_at_ms IS NOT NULL BEGIN
    INSERT INTO revocations (credential, tenant_id, revoked_at_ms)
        VALUES ('key_' || lower(hex(new.id)), new.tenant_id, new.ended_at_ms) ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER logins_ended AFTER UPDATE OF ended_at_ms ON logins WHEN new.ended_at_ms IS NOT NULL BEGIN
    INSERT INTO revocations (credential, tenant_id, revoked_at_ms)
        VALUES ('login_' || lower(hex(new.id)), new.tenant_id, new.ended_at_ms) ON CONFLICT DO NOTHING;
END;
