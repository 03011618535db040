-- Work that goes on after the call, what becomes of it, and what is forgotten. The same tables as migrations/postgres, where
-- every column is explained.

ALTER TABLE conversations ADD COLUMN summary TEXT;
ALTER TABLE conversations ADD COLUMN summary_by TEXT;
ALTER TABLE conversations ADD COLUMN consent INTEGER;

CREATE TABLE jobs (
    -- The rowid; AUTOINCREMENT, so that no number is given out twice.
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Serves reading one, and every step of whoever works on it.
    id             BLOB    NOT NULL UNIQUE,
    tenant_id      TEXT    NOT NULL,
    kind           TEXT    NOT NULL,
    subject        TEXT    NOT NULL,
    effect         TEXT,
    wanted         INTEGER NOT NULL DEFAULT 1,
    lane           TEXT,
    payload        TEXT    NOT NULL,
    state          TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'done', 'dead')),
    attempts       INTEGER NOT NULL DEFAULT 0,
    due_at_ms      INTEGER NOT NULL,
    lease          BLOB,
    node           TEXT,
    error          TEXT,
    created_at_ms  INTEGER NOT NULL,
    finished_at_ms INTEGER,
    -- Serves enqueueing once.
    UNIQUE (tenant_id, effect)
) STRICT;

-- Serves claiming: what is due, longest waiting first.
CREATE INDEX jobs_by_due ON jobs (due_at_ms) WHERE state IN ('queued', 'running');

-- Serves claiming: whether somebody is before it in its lane.
CREATE INDEX jobs_by_lane ON jobs (lane, number) WHERE state IN ('queued', 'running') AND lane IS NOT NULL;

-- Serves the list, newest first.
CREATE INDEX jobs_by_tenant ON jobs (tenant_id, number);

-- Serves the list of what is in one state, and clearing away what is done.
CREATE INDEX jobs_by_state ON jobs (tenant_id, state, number);

CREATE TABLE erasures (
    tenant_id      TEXT    NOT NULL,
    user_id        TEXT    NOT NULL,
    before_ms      INTEGER NOT NULL,
    finished_at_ms INTEGER,
    -- Serves erasing again.
    PRIMARY KEY (tenant_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    -- The rowid: the order, and the cursor of lists.
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms     INTEGER NOT NULL,
    tenant_id TEXT    NOT NULL,
    principal TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    subject   TEXT    NOT NULL
) STRICT;

-- Serves the list, newest first.
CREATE INDEX audit_by_tenant ON audit (tenant_id, number);

CREATE TRIGGER audit_is_kept BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;

CREATE TRIGGER audit_is_whole BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
