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
    audio_out_ms  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Serves the list and the usage figures: one tenant, newest first, by time range.
CREATE INDEX conversations_by_tenant ON conversations (tenant_id, id);

-- Serves the list of one agent's conversations.
CREATE INDEX conversations_by_agent ON conversations (tenant_id, agent, id);

-- Serves the list of what is live, and finding what a dead server left behind.
CREATE INDEX conversations_live ON conversations (session_id) WHERE state = 'live';

CREATE TABLE items (
    -- The rowid; AUTOINCREMENT, so that no number is given out twice: it is the cursor of search results.
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id BLOB    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
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
    -- Serves exactly-once writing.
    UNIQUE (conversation_id, item)
) STRICT;

-- Serves the timeline.
CREATE INDEX items_in_order ON items (conversation_id, position, item);

-- Serves the search for words. External content: the words themselves lie in `items`, and the triggers keep both together.
CREATE VIRTUAL TABLE items_by_words USING fts5 (
    words, content = 'items', content_rowid = 'number', tokenize = "unicode61 remove_diacritics 0"
);

CREATE TRIGGER items_added AFTER INSERT ON items BEGIN
    INSERT INTO items_by_words (rowid, words) VALUES (new.number, new.words);
END;

CREATE TRIGGER items_changed AFTER UPDATE OF words ON items BEGIN
    INSERT INTO items_by_words (items_by_words, rowid, words) VALUES ('delete', old.number, old.words);
    INSERT INTO items_by_words (rowid, words) VALUES (new.number, new.words);
END;

CREATE TRIGGER items_removed AFTER DELETE ON items BEGIN
    INSERT INTO items_by_words (items_by_words, rowid, words) VALUES ('delete', old.number, old.words);
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
    -- Serves exactly-once writing, the timeline and the usage figures.
    PRIMARY KEY (conversation_id, response)
) STRICT, WITHOUT ROWID;

-- Whoever deletes a conversation also takes the right to write from its session.
CREATE TRIGGER conversations_deleted AFTER DELETE ON conversations BEGIN
    UPDATE sessions SET epoch = epoch + 1 WHERE id = old.session_id;
END;
