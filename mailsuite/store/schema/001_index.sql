-- The index of one account. Ids of messages are mailbox << 32 | uid, so that a mailbox is one range of each table.

CREATE TABLE account (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    boot TEXT NOT NULL,              -- run of the kernel that wrote last
    clean INTEGER NOT NULL,          -- 0 while open: folders are cross-checked after a crash
    uidvalidity INTEGER NOT NULL     -- the last one given
);

CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    uidvalidity INTEGER NOT NULL,
    uidnext INTEGER NOT NULL,
    ceiling INTEGER NOT NULL,        -- no UID from here on was ever given; also in the folder's own file
    modseq INTEGER NOT NULL,         -- HIGHESTMODSEQ
    recent INTEGER NOT NULL,         -- UIDs from here on were seen by no session
    messages INTEGER NOT NULL DEFAULT 0,
    unseen INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,
    octets INTEGER NOT NULL DEFAULT 0,
    selectable INTEGER NOT NULL DEFAULT 1,
    special TEXT NOT NULL DEFAULT '' -- attributes of RFC 6154, separated by spaces
);

CREATE TABLE subscription (name TEXT PRIMARY KEY) WITHOUT ROWID;

-- Keywords of a mailbox in order of their first use; the first 26 have letters in file names.
CREATE TABLE keyword (mailbox INTEGER, number INTEGER, name TEXT, PRIMARY KEY (mailbox, number)) WITHOUT ROWID;

-- Sets of keywords; a message's flags are set << 5 | system bits.
CREATE TABLE keyword_set (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE);

-- What changes.
CREATE TABLE state (
    id INTEGER PRIMARY KEY,
    mailbox INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    added INTEGER NOT NULL,          -- the modseq with which it came
    flags INTEGER NOT NULL
);
CREATE INDEX state_modseq ON state (mailbox, modseq);

-- Where it lies. The token is the unique part of the file name, and of a delivered message names the delivery.
CREATE TABLE file (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL,
    folder TEXT NOT NULL,            -- cur or new
    name TEXT NOT NULL,
    bits INTEGER NOT NULL            -- flags as the file name has them
);
CREATE INDEX file_token ON file (token);

-- What never changes, ready for IMAP.
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    date INTEGER NOT NULL,
    size INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    structure BLOB NOT NULL,
    body BLOB NOT NULL,
    email_id BLOB NOT NULL,
    saved INTEGER NOT NULL
);
CREATE TABLE header (id INTEGER PRIMARY KEY, octets BLOB NOT NULL);

-- Messages that are gone. An empty token is one that may come again.
CREATE TABLE expunged (id INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, token TEXT NOT NULL);
CREATE INDEX expunged_modseq ON expunged (mailbox, modseq);
CREATE INDEX expunged_token ON expunged (token) WHERE token <> '';

-- What a commit promised to do to folders; done after the commit, and again at the next start until the row is gone.
CREATE TABLE pending (id INTEGER PRIMARY KEY, source TEXT NOT NULL, target TEXT NOT NULL);
