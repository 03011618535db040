-- What was said, and what it cost. The same tables as migrations/sqlite; times are milliseconds since 1970 (UTC), because
-- both databases order and subtract them alike. Changes only ever add: the version before this one must go on working.

-- Who may write. Every write of a session first touches its row here with the epoch it was given; if the row has moved on
-- (another node took the session over, or the conversation was deleted) that touches nothing, and neither does the write.
-- A row outlives its conversation, so that late writes do not bring it back.
CREATE TABLE sessions (
    id            uuid   PRIMARY KEY,
    epoch         bigint NOT NULL,
    -- The server that holds it: its name for itself, kept in its data directory.
    node          text   NOT NULL,
    written_at_ms bigint NOT NULL
);

CREATE TABLE conversations (
    -- Time-ordered (UUID version 7): a range of ids is a range of time.
    id            uuid   PRIMARY KEY,
    session_id    uuid   NOT NULL REFERENCES sessions (id),
    tenant_id     text   NOT NULL DEFAULT 'default',
    user_id       text,
    agent         text   NOT NULL,
    language      text   NOT NULL,
    title         text,
    -- 'lost': its server ended in the middle of it.
    state         text   NOT NULL CHECK (state IN ('live', 'ended', 'lost')),
    -- Why it ended, as a word.
    end_reason    text,
    started_at_ms bigint NOT NULL,
    ended_at_ms   bigint,
    -- Audio heard from the user, and audio sent.
    audio_in_ms   bigint NOT NULL DEFAULT 0,
    audio_out_ms  bigint NOT NULL DEFAULT 0
);

-- Serves the list and the usage figures: one tenant, newest first, by time range.
CREATE INDEX conversations_by_tenant ON conversations (tenant_id, id);

-- Serves the list of one agent's conversations.
CREATE INDEX conversations_by_agent ON conversations (tenant_id, agent, id);

-- Serves the list of what is live, and finding what a dead server left behind.
CREATE INDEX conversations_live ON conversations (session_id) WHERE state = 'live';

CREATE TABLE items (
    -- In order of writing: the order of search results, and their cursor.
    number          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id uuid    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    -- Its number within the conversation.
    item            bigint  NOT NULL,
    -- Which state of it this is. A write with an older pair changes nothing: replaying is harmless.
    epoch           bigint  NOT NULL,
    revision        bigint  NOT NULL,
    -- Its place: items that a client puts between two others get the number between theirs.
    position        double precision NOT NULL,
    role            text    NOT NULL,
    kind            text    NOT NULL,
    -- The words; of a reply that was cut off, those that were heard.
    text            text    NOT NULL,
    -- All words of a reply that was cut off, as written.
    written         text,
    language        text    NOT NULL DEFAULT '',
    -- In the media time of the user's audio.
    start_ms        bigint,
    end_ms          bigint,
    interrupted     boolean NOT NULL DEFAULT false,
    -- The reply it belongs to, the call it makes or answers, and what it calls with what.
    response        bigint,
    call            bigint,
    tool            text,
    arguments       text,
    failed          boolean NOT NULL DEFAULT false,
    recorded_at_ms  bigint  NOT NULL,
    -- The words in small letters with one blank between them: cut by Floe, so that both databases find the same.
    words           text    NOT NULL DEFAULT '',
    lexemes         tsvector GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' '))) STORED,
    -- Serves exactly-once writing.
    UNIQUE (conversation_id, item)
);

-- Serves the timeline.
CREATE INDEX items_in_order ON items (conversation_id, position, item);

-- Serves the search for words.
CREATE INDEX items_by_words ON items USING gin (lexemes);

-- One per reply: how it ended, what it cost, how long each stage took (milliseconds from the end of the user's speech).
CREATE TABLE receipts (
    conversation_id uuid   NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    response        bigint NOT NULL,
    epoch           bigint NOT NULL,
    revision        bigint NOT NULL,
    -- The item it answered.
    turn            bigint,
    status          text   NOT NULL,
    reason          text,
    endpoint_ms     bigint,
    transcript_ms   bigint,
    first_text_ms   bigint,
    first_audio_ms  bigint,
    first_sent_ms   bigint,
    input_tokens    bigint NOT NULL,
    output_tokens   bigint NOT NULL,
    recorded_at_ms  bigint NOT NULL,
    -- Serves exactly-once writing, the timeline and the usage figures (a range of ids is a range of time).
    PRIMARY KEY (conversation_id, response)
);

-- Whoever deletes a conversation also takes the right to write from its session.
CREATE FUNCTION fence_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sessions SET epoch = epoch + 1 WHERE id = OLD.session_id;
    RETURN OLD;
END
$$;

CREATE TRIGGER conversations_deleted AFTER DELETE ON conversations
    FOR EACH ROW EXECUTE FUNCTION fence_deleted();
