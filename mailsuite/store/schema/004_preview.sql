-- What messages begin with, made when somebody first asked for it; a message without a row is not looked at yet.
CREATE TABLE preview (id INTEGER PRIMARY KEY, text BLOB NOT NULL);
