-- Text is compared by its bytes: cursors depend on the order.
CREATE TABLE server_versions (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Of the content: the server and its tools.
    sha256 TEXT NOT NULL,
    -- The server.json, with its fields in the order in which they came.
    server TEXT NOT NULL,
    tools TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'deprecated', 'deleted')),
    status_message TEXT,
    status_changed_at INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    is_latest INTEGER NOT NULL CHECK (is_latest IN (0, 1)),
    PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX server_versions_one_latest ON server_versions (name) WHERE is_latest = 1;
CREATE INDEX server_versions_updated_at ON server_versions (updated_at);

CREATE TABLE server_remotes (
    url TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (url, name, version),
    FOREIGN KEY (name, version) REFERENCES server_versions (name, version) ON DELETE CASCADE
);

CREATE TABLE artifacts (
    id TEXT NOT NULL PRIMARY KEY,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    bytes BLOB NOT NULL
);
CREATE INDEX artifacts_expires_at ON artifacts (expires_at);
