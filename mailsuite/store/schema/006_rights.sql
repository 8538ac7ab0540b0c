-- What others may do with a mailbox, as letters; account 0 is anyone. Each folder has its own in mailbox.rights.
CREATE TABLE acl (mailbox INTEGER, account INTEGER, rights TEXT NOT NULL, PRIMARY KEY (mailbox, account)) WITHOUT ROWID;
-- Mailboxes whose rights are to be written into their folders.
CREATE TABLE acl_unwritten (mailbox INTEGER PRIMARY KEY);
