-- Who may come in. The same tables as migrations/sqlite; times are milliseconds since 1970 (UTC). Changes only ever add.

-- Serves the list and the usage figures of one user, newest first, by time range; also finding a user's conversations for a
-- search in them, for export and for erasure.
CREATE INDEX conversations_by_user ON conversations (tenant_id, user_id, id);

-- API keys. Of a key only its keyed digest is here: nobody can make a key of what this table holds, not even by trying,
-- without the server's secret.
CREATE TABLE api_keys (
    -- Serves ending one, and noting that it was used.
    id            uuid     PRIMARY KEY,
    tenant_id     text     NOT NULL,
    -- Whose things it opens; none for a key that opens everything of its tenant.
    user_id       text,
    -- What it is for, in its maker's words. Two of one name may be active, so that the new one is in use before the old one goes.
    name          text     NOT NULL,
    -- Which of the two.
    slot          smallint NOT NULL CHECK (slot IN (1, 2)),
    -- The part of the key that is shown in lists, and by which the door finds it.
    prefix        text     NOT NULL,
    -- HMAC-SHA-256 of the whole key, with the server's secret.
    digest        bytea    NOT NULL,
    role          text     NOT NULL CHECK (role IN ('admin', 'member')),
    -- Words with blanks between them.
    scopes        text     NOT NULL,
    created_at_ms bigint   NOT NULL,
    expires_at_ms bigint,
    -- When it was revoked, or had expired and made room for another.
    ended_at_ms   bigint,
    -- At most a minute old.
    used_at_ms    bigint
);

-- Serves the door: finding a key by what is shown of it.
CREATE UNIQUE INDEX api_keys_by_prefix ON api_keys (prefix);

-- Serves making a key: two of a name, and no third.
CREATE UNIQUE INDEX api_keys_by_name ON api_keys (tenant_id, name, slot) WHERE ended_at_ms IS NULL;

-- Serves the list of a tenant's keys, newest first.
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, id);

-- Logins of browsers.
CREATE TABLE logins (
    -- Serves ending one, and noting that it was used.
    id            uuid   PRIMARY KEY,
    tenant_id     text   NOT NULL,
    user_id       text,
    -- HMAC-SHA-256 of what the cookie holds.
    digest        bytea  NOT NULL,
    role          text   NOT NULL CHECK (role IN ('admin', 'member')),
    scopes        text   NOT NULL,
    -- The key that was shown to log in, if it was a key: the login ends with it.
    credential    text,
    created_at_ms bigint NOT NULL,
    -- At most a minute old: a login that nobody uses ends.
    used_at_ms    bigint NOT NULL,
    -- However much it is used.
    expires_at_ms bigint NOT NULL,
    ended_at_ms   bigint,
    -- The identity provider's refresh token, sealed with the server's secret, and when it is to be used.
    refresh       bytea,
    refresh_at_ms bigint
);

-- Serves the door: finding a login by its cookie.
CREATE UNIQUE INDEX logins_by_digest ON logins (digest);

-- Serves erasing a user.
CREATE INDEX logins_by_user ON logins (tenant_id, user_id);

-- What was revoked before its time, for those who talk with it at that moment. Every server asks about the credentials of its
-- live sessions, every second or so.
CREATE TABLE revocations (
    -- Its id, with its kind as a prefix: a key, a login, a ticket. Serves that question.
    credential    text   PRIMARY KEY,
    tenant_id     text   NOT NULL,
    revoked_at_ms bigint NOT NULL
);

-- Facts about the installation. `secret`: a digest that only the right secret makes, so that a server with another one notices.
CREATE TABLE marks (
    -- Serves reading one.
    name  text  PRIMARY KEY,
    value bytea NOT NULL
);

-- Whatever ends a key or a login also ends the conversations that go on with it.
CREATE FUNCTION note_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO revocations (credential, tenant_id, revoked_at_ms)
        VALUES (TG_ARGV[0] || replace(NEW.id::text, '-', ''), NEW.tenant_id, NEW.ended_at_ms) ON CONFLICT DO NOTHING;
    RETURN NEW;
END
$$;

CREATE TRIGGER api_keys_ended AFTER UPDATE OF ended_at_ms ON api_keys
    FOR EACH ROW WHEN (NEW.ended_at_ms IS NOT NULL) EXECUTE FUNCTION note_revocation('key_');

CREATE TRIGGER logins_ended AFTER UPDATE OF ended_at_ms ON logins
    FOR EACH ROW WHEN (NEW.ended_at_ms IS NOT NULL) EXECUTE FUNCTION note_revocation('login_');
