-- Text is compared by its bytes, whatever the language of the database: cursors depend on the order.
CREATE TABLE server_versions (
    name TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    -- Of the content: the server and its tools.
    sha256 TEXT NOT NULL,
    -- The server.json, with its fields in the order in which they came.
    server TEXT NOT NULL,
    tools TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'deprecated', 'deleted')),
    status_message TEXT,
    status_changed_at BIGINT NOT NULL,
    published_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    is_latest SMALLINT NOT NULL CHECK (is_latest IN (0, 1)),
    PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX server_versions_one_latest ON server_versions (name) WHERE is_latest = 1;
CREATE INDEX server_versions_updated_at ON server_versions (updated_at);

CREATE TABLE server_remotes (
    url TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (url, name, version),
    FOREIGN KEY (name, version) REFERENCES server_versions (name, version) ON DELETE CASCADE
);

CREATE TABLE artifacts (
    id TEXT COLLATE "C" PRIMARY KEY,
    media_type TEXT NOT NULL,
    size BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    bytes BYTEA NOT NULL
);
CREATE INDEX artifacts_expires_at ON artifacts (expires_at);
