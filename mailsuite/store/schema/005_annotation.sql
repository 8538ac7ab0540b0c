-- Annotations of mailboxes; mailbox 0 is the account itself. Each folder has its own in mailbox.annotations as well.
CREATE TABLE annotation (
    change INTEGER PRIMARY KEY AUTOINCREMENT,  -- the higher, the later
    mailbox INTEGER NOT NULL,
    reader INTEGER NOT NULL,         -- the account whose private entry it is; 0 for a shared one
    entry TEXT NOT NULL COLLATE NOCASE,
    value BLOB,                      -- NULL: it was removed, and sessions may still have to hear of it
    size INTEGER NOT NULL,           -- of the value
    UNIQUE (mailbox, reader, entry)
);
CREATE INDEX annotation_size ON annotation (size);  -- so that a look at the quota reads no values
-- Mailboxes whose annotations and special use are to be written into their folders.
CREATE TABLE annotation_unwritten (mailbox INTEGER PRIMARY KEY);
