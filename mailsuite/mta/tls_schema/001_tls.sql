-- MTA-STS policies of other domains. They hold until they expire, whatever their domain's DNS says meanwhile.
CREATE TABLE policy (
    domain TEXT PRIMARY KEY,
    policy_id TEXT NOT NULL,                -- of the record that announced it
    body BLOB NOT NULL,                     -- as it was fetched
    fetched REAL NOT NULL,                  -- seconds since the epoch
    expires REAL NOT NULL
) WITHOUT ROWID;

CREATE INDEX policy_fetched ON policy (fetched);
CREATE INDEX policy_expires ON policy (expires);

-- How connections to hosts of other domains went, for reports to these domains.
CREATE TABLE result (
    day INTEGER NOT NULL,                   -- since the epoch, in UTC
    domain TEXT NOT NULL,
    policy_type TEXT NOT NULL,              -- tlsa, sts, no-policy-found
    policy TEXT NOT NULL,                   -- its lines
    host TEXT NOT NULL,
    result TEXT NOT NULL,                   -- empty for success
    sessions INTEGER NOT NULL,
    PRIMARY KEY (day, domain, policy_type, policy, host, result)
) WITHOUT ROWID;
