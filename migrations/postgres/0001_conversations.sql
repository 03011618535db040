-- What was said, and what it cost. The same tables as migrations/sqlite; times are milliseconds since 1970 (UTC), because
-- both databases order and subtract them alike. Changes only ever add: the version before this one must go on working.

-- Who may write. Every write of a session first touches its row here with the epoch it was given; if the row has moved on
-- (another node took the session over, or the conversation was deleted) that touches nothing, and neither does the write.
-- A row outlives its conversation, so that late writes do not bring it back.
CREATE TABLE sessions (
    -- Serves the fence of every write.
    id            uuid   PRIMARY KEY,
    epoch         bigint NOT NULL,
    -- The server that holds it: its name for itself, kept in its data directory.
    node          text   NOT NULL,
    written_at_ms bigint NOT NULL
);

CREATE TABLE conversations (
    -- Time-ordered (UUID version 7): a range of ids is a range of time. Serves reading one.
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
    audio_out_ms  bigint NOT NULL DEFAULT 0,
    -- The sums of its receipts, kept by a trigger: the usage of a year would otherwise read every receipt of it.
    replies       bigint NOT NULL DEFAULT 0,
    input_tokens  bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0
    -- Room in every page: a row changes with each reply, and a version that stays in its page touches no index.
) WITH (fillfactor = 70);

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
    -- In order of writing: the order of search results, and their cursor.
    number          bigint  GENERATED ALWAYS AS IDENTITY,
    conversation_id uuid    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    -- Its conversation's: a search looks into this table alone.
    tenant_id       text    NOT NULL,
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
    -- The words, and one that names the tenant (no word has an @): the index finds a tenant's words among everybody's.
    lexemes         tsvector GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' ') || ('@' || md5(tenant_id)))) STORED,
    -- Serves exactly-once writing, the timeline (a conversation's items are few: sorted when read), and deleting.
    PRIMARY KEY (conversation_id, item)
);

-- Serves the search for frequent words: a tenant's newest items are looked through one by one.
CREATE INDEX items_by_tenant ON items (tenant_id, number);

-- Serves the search for the other words. Few entries wait to be sorted in: a search reads those one by one.
CREATE INDEX items_by_words ON items USING gin (lexemes) WITH (gin_pending_list_limit = 256);

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
    -- Serves exactly-once writing, the receipts of a conversation, and deleting.
    PRIMARY KEY (conversation_id, response)
);

-- Sums up what a conversation cost.
CREATE FUNCTION count_receipt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE conversations SET replies = replies + 1, input_tokens = input_tokens + NEW.input_tokens,
        output_tokens = output_tokens + NEW.output_tokens WHERE id = NEW.conversation_id;
    RETURN NEW;
END
$$;

CREATE TRIGGER receipts_added AFTER INSERT ON receipts FOR EACH ROW EXECUTE FUNCTION count_receipt();

-- Whoever deletes a conversation also takes the right to write from its session.
CREATE FUNCTION fence_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sessions SET epoch = epoch + 1 WHERE id = OLD.session_id;
    RETURN OLD;
END
$$;

CREATE TRIGGER conversations_deleted AFTER DELETE ON conversations
    FOR EACH ROW EXECUTE FUNCTION fence_deleted();
