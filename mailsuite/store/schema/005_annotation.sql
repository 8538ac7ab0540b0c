-- Annotations of mailboxes; mailbox 0 is the account itself. Each folder has its own in mailbox.annotations as well.
CREATE TABLE annotation (
    change INTEGER PRIMARY KEY AUTOINCREMENT,  -- the higher, the later
    mailbox INTEGER NOT NULL,
    reader INTEGER NOT NULL,         -- the account whose private entry it is; 0 for a shared one
    entry TEXT NOT NULL COLLATE NOCASE,
    value BLOB,                      -- NULL: it was removed, and sessions may still have to hear of it
    UNIQUE (mailbox, reader, entry)
);
-- Mailboxes whose annotations and special use are to be written into their folders.
CREATE TABLE annotation_unwritten (mailbox INTEGER PRIMARY KEY);
