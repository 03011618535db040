-- What was said as sound, where the operator keeps it (store.audio). The same tables as migrations/sqlite. The sound itself is
-- in files: <store.audio_dir>/<id of the conversation>/<part>-<track>.opus, on the disk of the server that wrote them.

CREATE TABLE recordings (
    conversation_id uuid    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    -- The epoch of the session that wrote it: no two sessions write the same part.
    part            bigint  NOT NULL,
    track           text    NOT NULL CHECK (track IN ('user', 'assistant')),
    -- The newest state wins.
    revision        bigint  NOT NULL,
    -- The server that wrote it.
    node            text    NOT NULL,
    -- Where it begins in the conversation's media time, in which items have their times.
    offset_ms       bigint  NOT NULL,
    started_at_ms   bigint  NOT NULL,
    -- Not known while it is written, nor if its server ended without a word.
    length_ms       bigint,
    bytes           bigint,
    -- Whether it is over, and nothing is missing.
    complete        boolean NOT NULL DEFAULT false,
    -- Serves exactly-once writing, the files of a conversation, and deleting.
    PRIMARY KEY (conversation_id, part, track)
);

-- Files that are to be erased: their rows are gone, and their server has not been there yet.
CREATE TABLE recordings_deleted (
    node            text NOT NULL,
    conversation_id uuid NOT NULL,
    -- Serves a server's question what it is to erase.
    PRIMARY KEY (node, conversation_id)
);

-- Whoever deletes a conversation, by whatever statement, leaves word for the servers that have its files.
CREATE FUNCTION note_recording_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO recordings_deleted (node, conversation_id) VALUES (OLD.node, OLD.conversation_id) ON CONFLICT DO NOTHING;
    RETURN OLD;
END
$$;

CREATE TRIGGER recordings_gone AFTER DELETE ON recordings FOR EACH ROW EXECUTE FUNCTION note_recording_gone();
