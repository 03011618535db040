-- What was said as sound, where the operator keeps it (store.audio). The same tables as migrations/postgres, where every
-- column is explained.

CREATE TABLE recordings (
    conversation_id BLOB    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    part            INTEGER NOT NULL,
    track           TEXT    NOT NULL CHECK (track IN ('user', 'assistant')),
    revision        INTEGER NOT NULL,
    node            TEXT    NOT NULL,
    offset_ms       INTEGER NOT NULL,
    started_at_ms   INTEGER NOT NULL,
    length_ms       INTEGER,
    bytes           INTEGER,
    complete        INTEGER NOT NULL DEFAULT 0,
    -- Serves exactly-once writing, the files of a conversation, and deleting.
    PRIMARY KEY (conversation_id, part, track)
) STRICT, WITHOUT ROWID;

CREATE TABLE recordings_deleted (
    node            TEXT NOT NULL,
    conversation_id BLOB NOT NULL,
    -- Serves a server's question what it is to erase.
    PRIMARY KEY (node, conversation_id)
) STRICT, WITHOUT ROWID;

-- Whoever deletes a conversation, by whatever statement, leaves word for the servers that have its files.
CREATE TRIGGER recordings_gone AFTER DELETE ON recordings BEGIN
    INSERT OR IGNORE INTO recordings_deleted (node, conversation_id) VALUES (old.node, old.conversation_id);
END;
