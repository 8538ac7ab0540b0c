-- What the queue needs to be fair to many destinations, and to tell senders in time.
ALTER TABLE recipient ADD COLUMN domain TEXT NOT NULL DEFAULT '';       -- of the address; empty when nothing goes over the network
ALTER TABLE recipient ADD COLUMN sender TEXT NOT NULL DEFAULT '';       -- the reverse-path; empty is the null one
ALTER TABLE recipient ADD COLUMN born INTEGER NOT NULL DEFAULT 0;       -- its age counts from then: arrival, or release (RFC 4865)
ALTER TABLE recipient ADD COLUMN host TEXT NOT NULL DEFAULT '';         -- who was asked last
ALTER TABLE recipient ADD COLUMN tried INTEGER NOT NULL DEFAULT 0;      -- when that was; 0 is never
ALTER TABLE recipient ADD COLUMN notice INTEGER NOT NULL DEFAULT 0;     -- see mailsuite.mta.queue_store.Notice

UPDATE recipient SET born = COALESCE((SELECT received FROM message WHERE id = recipient.message), 0);

-- Rows of an older version: the last @ divides an address. An envelope that cannot be read leaves what is known.
UPDATE recipient SET domain = substr(address, length(rtrim(address, replace(address, '@', ''))) + 1)
WHERE instr(address, '@') > 0 AND COALESCE((
    SELECT json_extract(CAST(envelope AS TEXT), '$.targets[' || recipient.n || '][1]') = 0
    FROM message WHERE id = recipient.message AND json_valid(CAST(envelope AS TEXT))
), 1);
UPDATE recipient SET sender = COALESCE((
    SELECT json_extract(CAST(envelope AS TEXT), '$.sender[0]') || '@' || json_extract(CAST(envelope AS TEXT), '$.sender[1]')
    FROM message WHERE id = recipient.message AND json_valid(CAST(envelope AS TEXT))
), '');
UPDATE recipient SET notice = 2 WHERE sender = '';

DROP INDEX recipient_due;
CREATE INDEX recipient_due ON recipient (domain, next) WHERE state = 0;
CREATE INDEX recipient_age ON recipient (notice, born) WHERE state = 0;
CREATE INDEX recipient_finished ON recipient (message) WHERE state = 2;
