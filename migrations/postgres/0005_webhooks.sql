-- Where events are sent. The same table as migrations/sqlite.
CREATE TABLE webhooks (
    -- Serves reading one.
    id            uuid   PRIMARY KEY,
    tenant_id     text   NOT NULL,
    url           text   NOT NULL,
    -- The events it wants, one blank between them.
    events        text   NOT NULL,
    -- What its messages are signed with. Signing needs it as it is, so it is kept as it is.
    secret        text   NOT NULL,
    created_at_ms bigint NOT NULL,
    -- Since when nothing is sent any more: its server said that it is gone (410).
    gone_at_ms    bigint
);

-- Serves the list, and finding whom an event is sent to.
CREATE INDEX webhooks_by_tenant ON webhooks (tenant_id, id);
