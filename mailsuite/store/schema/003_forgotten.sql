-- Up to which MODSEQ tombstones of a mailbox may be missing; no row says that none is.
CREATE TABLE forgotten (mailbox INTEGER PRIMARY KEY, modseq INTEGER NOT NULL);
INSERT INTO forgotten (mailbox, modseq)
SELECT id, COALESCE((SELECT MIN(modseq) - 1 FROM expunged WHERE expunged.mailbox = mailbox.id), modseq)
FROM mailbox WHERE selectable = 1;
