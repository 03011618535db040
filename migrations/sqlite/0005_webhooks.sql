-- Where events are sent. The same table as migrations/postgres, where every column is explained.
CREATE TABLE webhooks (
    -- Serves reading one.
    id            BLOB    NOT NULL PRIMARY KEY,
    tenant_id     TEXT    NOT NULL,
    url           TEXT    NOT NULL,
    events        TEXT    NOT NULL,
    secret        TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    gone_at_ms    INTEGER
) STRICT, WITHOUT ROWID;

-- Serves the list, and finding whom an event is sent to.
CREATE INDEX webhooks_by_tenant ON webhooks (tenant_id, id);
