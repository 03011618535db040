-- What was said, and what it cost. The same tables as migrations/postgres, where every column is explained; only what SQLite
-- does otherwise is said here. Changes only ever add: the version before this one must go on working.

-- Who may write: see migrations/postgres.
CREATE TABLE sessions (
    id            BLOB    NOT NULL PRIMARY KEY,
    epoch         INTEGER NOT NULL,
    node          TEXT    NOT NULL,
    written_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE conversations (
    id            BLOB    NOT NULL PRIMARY KEY,
    session_id    BLOB    NOT NULL REFERENCES sessions (id),
    tenant_id     TEXT    NOT NULL DEFAULT 'default',
    user_id       TEXT,
    agent         TEXT    NOT NULL,
    language      TEXT    NOT NULL,
    title         TEXT,
    state         TEXT    NOT NULL CHECK (state IN ('live', 'ended', 'lost')),
    end_reason    TEXT,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms   INTEGER,
    audio_in_ms   INTEGER NOT NULL DEFAULT 0,
    audio_out_ms  INTEGER NOT NULL DEFAULT 0,
    replies       INTEGER NOT NULL DEFAULT 0,
    input_tokens  INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Serves the list and the usage figures: one tenant, newest first, by time range.
CREATE INDEX conversations_by_tenant ON conversations (tenant_id, id);

-- Serves the list of one agent's conversations.
CREATE INDEX conversations_by_agent ON conversations (tenant_id, agent, id);

-- Serves the list of what is in one state.
CREATE INDEX conversations_by_state ON conversations (tenant_id, state, id);

-- Serves the list of one agent's conversations in one state.
CREATE INDEX conversations_by_agent_and_state ON conversations (tenant_id, agent, state, id);

-- Serves finding what a dead server left behind.
CREATE INDEX conversations_live ON conversations (session_id) WHERE state = 'live';

CREATE TABLE items (
    -- The rowid; AUTOINCREMENT, so that no number is given out twice: it is the cursor of search results.
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id BLOB    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    tenant_id       TEXT    NOT NULL,
    item            INTEGER NOT NULL,
    epoch           INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    position        REAL    NOT NULL,
    role            TEXT    NOT NULL,
    kind            TEXT    NOT NULL,
    text            TEXT    NOT NULL,
    written         TEXT,
    language        TEXT    NOT NULL DEFAULT '',
    start_ms        INTEGER,
    end_ms          INTEGER,
    interrupted     INTEGER NOT NULL DEFAULT 0,
    response        INTEGER,
    call            INTEGER,
    tool            TEXT,
    arguments       TEXT,
    failed          INTEGER NOT NULL DEFAULT 0,
    recorded_at_ms  INTEGER NOT NULL,
    words           TEXT    NOT NULL DEFAULT '',
    -- The words, and one that names the tenant.
    lexemes         TEXT    GENERATED ALWAYS AS (words || ' @' || hex(tenant_id)) VIRTUAL,
    -- Serves exactly-once writing, the timeline (a conversation's items are few: sorted when read), and deleting.
    UNIQUE (conversation_id, item)
) STRICT;

-- Serves the search for frequent words: a tenant's newest items are looked through one by one.
CREATE INDEX items_by_tenant ON items (tenant_id, number);

-- Serves the search for the other words. External content: the words themselves lie in `items`, and the triggers keep both
-- together. Floe has cut them: to this tokenizer everything between two blanks is one word. Which item holds a word is
-- all that is asked, so neither places nor lengths are kept. The last word may be a beginning: those of up to four letters
-- are kept as words of their own, or a search for `stars t` would first collect everything that begins with t.
CREATE VIRTUAL TABLE items_by_words USING fts5 (
    lexemes, content = 'items', content_rowid = 'number', detail = none, columnsize = 0, prefix = '1 2 3 4',
    tokenize = "ascii tokenchars '@'"
);

CREATE TRIGGER items_added AFTER INSERT ON items BEGIN
    INSERT INTO items_by_words (rowid, lexemes) VALUES (new.number, new.lexemes);
END;

CREATE TRIGGER items_changed AFTER UPDATE OF words ON items BEGIN
    INSERT INTO items_by_words (items_by_words, rowid, lexemes) VALUES ('delete', old.number, old.lexemes);
    INSERT INTO items_by_words (rowid, lexemes) VALUES (new.number, new.lexemes);
END;

CREATE TRIGGER items_removed AFTER DELETE ON items BEGIN
    INSERT INTO items_by_words (items_by_words, rowid, lexemes) VALUES ('delete', old.number, old.lexemes);
END;

CREATE TABLE receipts (
    conversation_id BLOB    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    response        INTEGER NOT NULL,
    epoch           INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    turn            INTEGER,
    status          TEXT    NOT NULL,
    reason          TEXT,
    endpoint_ms     INTEGER,
    transcript_ms   INTEGER,
    first_text_ms   INTEGER,
    first_audio_ms  INTEGER,
    first_sent_ms   INTEGER,
    input_tokens    INTEGER NOT NULL,
    output_tokens   INTEGER NOT NULL,
    recorded_at_ms  INTEGER NOT NULL,
    -- Serves exactly-once writing, the receipts of a conversation, and deleting.
    PRIMARY KEY (conversation_id, response)
) STRICT, WITHOUT ROWID;

-- Sums up what a conversation cost.
CREATE TRIGGER receipts_added AFTER INSERT ON receipts BEGIN
    UPDATE conversations SET replies = replies + 1, input_tokens = input_tokens + new.input_tokens,
        output_tokens = output_tokens + new.output_tokens WHERE id = new.conversation_id;
END;

-- Whoever deletes a conversation also takes the right to write from its session.
CREATE TRIGGER conversations_deleted AFTER DELETE ON conversations BEGIN
    UPDATE sessions SET epoch = epoch + 1 WHERE id = old.session_id;
END;
