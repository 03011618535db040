-- Work that goes on after the call, what becomes of it, and what is forgotten. The same tables as migrations/sqlite.

-- What a finished conversation was about: how that was made stands beside it (a model's name, or a method's). And whether who
-- spoke agreed to being kept, if the client said so.
ALTER TABLE conversations ADD COLUMN summary text;
ALTER TABLE conversations ADD COLUMN summary_by text;
ALTER TABLE conversations ADD COLUMN consent boolean;

-- Work to be done. A row names things by their ids and holds nothing that anybody said.
CREATE TABLE jobs (
    -- In order of enqueueing: the order within a lane, and the cursor of lists.
    number         bigint GENERATED ALWAYS AS IDENTITY,
    -- Serves reading one, and every step of whoever works on it.
    id             uuid   PRIMARY KEY,
    tenant_id      text   NOT NULL,
    -- What is to be done, as a word, and about what.
    kind           text   NOT NULL,
    subject        text   NOT NULL,
    -- What comes of it, as a name: there is one row per name, and asking again with another payload makes it due again.
    effect         text,
    -- Counts how often it was asked for. Whoever has done an earlier one leaves it queued.
    wanted         bigint NOT NULL DEFAULT 1,
    -- Jobs of one lane are done one after the other.
    lane           text,
    payload        text   NOT NULL,
    state          text   NOT NULL CHECK (state IN ('queued', 'running', 'done', 'dead')),
    attempts       bigint NOT NULL DEFAULT 0,
    -- Queued: not before. Running: how long its lease lasts; then it is due again.
    due_at_ms      bigint NOT NULL,
    -- The right to finish it, and which server has that. Another claim gives another one, and this one touches no row any more.
    lease          uuid,
    node           text,
    -- Why the last attempt failed.
    error          text,
    created_at_ms  bigint NOT NULL,
    finished_at_ms bigint,
    -- Serves enqueueing once.
    UNIQUE (tenant_id, effect)
) WITH (fillfactor = 70);

-- Serves claiming: what is due, longest waiting first.
CREATE INDEX jobs_by_due ON jobs (due_at_ms) WHERE state IN ('queued', 'running');

-- Serves claiming: whether somebody is before it in its lane.
CREATE INDEX jobs_by_lane ON jobs (lane, number) WHERE state IN ('queued', 'running') AND lane IS NOT NULL;

-- Serves the list, newest first.
CREATE INDEX jobs_by_tenant ON jobs (tenant_id, number);

-- Serves the list of what is in one state, and clearing away what is done.
CREATE INDEX jobs_by_state ON jobs (tenant_id, state, number);

-- Users who were erased, and when: what comes back with a restore, or late from a spool, is erased again. Holds nothing else.
CREATE TABLE erasures (
    tenant_id      text   NOT NULL,
    user_id        text   NOT NULL,
    -- Everything of theirs begun before.
    before_ms      bigint NOT NULL,
    -- When nothing of it was left.
    finished_at_ms bigint,
    -- Serves erasing again.
    PRIMARY KEY (tenant_id, user_id)
);

-- Who read what. Rows are only ever added.
CREATE TABLE audit (
    -- Serves keeping the order, and the cursor of lists.
    number    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms     bigint NOT NULL,
    tenant_id text   NOT NULL,
    -- Who: a user, a key, or nobody in particular.
    principal text   NOT NULL,
    -- What was done, as a word, and with what.
    action    text   NOT NULL,
    subject   text   NOT NULL
);

-- Serves the list, newest first.
CREATE INDEX audit_by_tenant ON audit (tenant_id, number);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only';
END
$$;

CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_is_whole BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
