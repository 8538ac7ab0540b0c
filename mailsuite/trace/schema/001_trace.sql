-- What happened: one row for each event, in the order in which a process wrote it.
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    queue_id TEXT NOT NULL,                 -- in capitals
    time REAL NOT NULL,                     -- seconds since the epoch
    name TEXT NOT NULL,                     -- of mailsuite.observe.catalog
    fields TEXT NOT NULL                    -- JSON
);
CREATE INDEX event_queue_id ON event (queue_id);

-- By what else a message is found.
CREATE TABLE name (
    kind TEXT NOT NULL,                     -- 'm' Message-ID, 'q' queue id of a report about it, 'r' recipient, 's' sender
    name TEXT NOT NULL,
    queue_id TEXT NOT NULL,
    time REAL NOT NULL,                     -- of the last event that says so
    PRIMARY KEY (kind, name, queue_id)
) WITHOUT ROWID;
