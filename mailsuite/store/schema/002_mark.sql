-- When it was seen that tombstones up to a MODSEQ existed: what tells their age.
CREATE TABLE mark (mailbox INTEGER, at INTEGER, modseq INTEGER NOT NULL, PRIMARY KEY (mailbox, at)) WITHOUT ROWID;
