-- The spool's name in delivery ids, so that those of several spools, or of one restored from a backup, never meet.
CREATE TABLE spool (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    uuid BLOB NOT NULL,
    probed INTEGER NOT NULL DEFAULT 0       -- written to find out whether the disk takes commits again
);

-- What was accepted. A row is never updated; it goes when nobody needs it any more. Ids never come back.
CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received INTEGER NOT NULL,              -- seconds since the epoch
    envelope BLOB NOT NULL,                 -- JSON: see mailsuite.mta.content
    file TEXT,                              -- name below body/, or NULL
    body BLOB                               -- the octets, or NULL when they lie in the file
);

-- Targets that were not delivered at once: remote ones, and local ones whose mailbox could not take them.
-- A local target without a row is delivered at once, and again after a crash: its delivery id makes that harmless.
CREATE TABLE recipient (
    message INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    n INTEGER NOT NULL,                     -- place in the envelope's targets
    address TEXT NOT NULL,
    state INTEGER NOT NULL,                 -- 0 waits, 1 is held, 2 is finished
    next INTEGER NOT NULL,                  -- when to try, seconds since the epoch
    lease INTEGER NOT NULL DEFAULT 0,       -- an attempt is under way until then at the latest
    tries INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT '',        -- how the last attempt ended, in words
    PRIMARY KEY (message, n)
) WITHOUT ROWID;

CREATE INDEX recipient_due ON recipient (next) WHERE state = 0;
