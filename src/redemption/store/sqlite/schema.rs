//! The schema of tickets, as migrations.

use crate::engine::sqlite::Schema;

/// The schema of the file. Its `application_id` is `tkly` in ASCII.
pub(super) const SCHEMA: Schema =
    Schema { application_id: 0x746B_6C79, migrations: &[TICKETS, RECORDS, BATCHES] };

/// The first schema: the table of tickets.
const TICKETS: &str = "
    CREATE TABLE tickets (
        id                 BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 32), -- SHA-256 of the key
        version            INTEGER NOT NULL,   -- counts the changes
        status             TEXT    NOT NULL CHECK (status IN ('issued', 'redeemed', 'revoked')),
        album              TEXT    NOT NULL,
        batch              TEXT    NOT NULL,
        issued_at          INTEGER NOT NULL,   -- this and all times: seconds since 1970, UTC
        valid_from         INTEGER,
        expires_at         INTEGER,
        redemption_id      BLOB CHECK (length(redemption_id) = 16),
        redeemed_at        INTEGER,
        renewals           INTEGER,
        renewed_at         INTEGER,
        reinstatements     INTEGER,
        reinstated_at      INTEGER,
        reinstated_because TEXT,
        CHECK (status <> 'redeemed' OR redemption_id IS NOT NULL),
        CHECK ((redemption_id IS NULL) = (redeemed_at IS NULL)),
        CHECK ((redemption_id IS NULL) = (renewals IS NULL))
    ) STRICT, WITHOUT ROWID;
";

/// The last change of each kind, for the record. No row is rewritten, but SQLite reads all rows for each column that is
/// added to a table with checks.
const RECORDS: &str = "
    ALTER TABLE tickets ADD COLUMN restorations     INTEGER; -- how many of the reinstatements undid a revocation
    ALTER TABLE tickets ADD COLUMN revoked_at       INTEGER;
    ALTER TABLE tickets ADD COLUMN revoked_because  TEXT;
    ALTER TABLE tickets ADD COLUMN extended_at      INTEGER;
    ALTER TABLE tickets ADD COLUMN extended_because TEXT;
";

/// Lists a batch without a scan of all tickets, and counts without reading any.
///
/// The index has only columns that a redemption does not change, so a redemption does not touch it; with the status in
/// it, each would change two more pages. Counts are kept by triggers: a redemption changes one more row, which all
/// redemptions of a batch share. Writes by other tools keep the counts right as well, except `REPLACE`, which runs no
/// trigger for the row that it replaces unless `recursive_triggers` is on.
const BATCHES: &str = "
    CREATE INDEX tickets_by_batch ON tickets (batch, id);
    CREATE TABLE batches (                     -- kept by the triggers below
        album              TEXT    NOT NULL,
        batch              TEXT    NOT NULL,
        issued             INTEGER NOT NULL,   -- how many tickets have this status; likewise the others
        redeemed           INTEGER NOT NULL,
        revoked            INTEGER NOT NULL,
        PRIMARY KEY (album, batch)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX batches_by_name ON batches (batch, album);
    INSERT INTO batches (album, batch, issued, redeemed, revoked)
        SELECT album, batch, sum(status = 'issued'), sum(status = 'redeemed'), sum(status = 'revoked')
        FROM tickets GROUP BY album, batch;
    CREATE TRIGGER tickets_counted_when_added AFTER INSERT ON tickets BEGIN
        INSERT INTO batches (album, batch, issued, redeemed, revoked)
            VALUES (NEW.album, NEW.batch, NEW.status = 'issued', NEW.status = 'redeemed', NEW.status = 'revoked')
            ON CONFLICT (album, batch) DO UPDATE SET issued = issued + excluded.issued,
                redeemed = redeemed + excluded.redeemed, revoked = revoked + excluded.revoked;
    END;
    CREATE TRIGGER tickets_counted_when_changed AFTER UPDATE OF status ON tickets
    WHEN NEW.status <> OLD.status AND NEW.album = OLD.album AND NEW.batch = OLD.batch BEGIN
        UPDATE batches SET issued = issued - (OLD.status = 'issued') + (NEW.status = 'issued'),
                redeemed = redeemed - (OLD.status = 'redeemed') + (NEW.status = 'redeemed'),
                revoked = revoked - (OLD.status = 'revoked') + (NEW.status = 'revoked')
            WHERE album = NEW.album AND batch = NEW.batch;
    END;
    CREATE TRIGGER tickets_counted_when_moved AFTER UPDATE OF album, batch ON tickets
    WHEN NEW.album <> OLD.album OR NEW.batch <> OLD.batch BEGIN
        UPDATE batches SET issued = issued - (OLD.status = 'issued'),
                redeemed = redeemed - (OLD.status = 'redeemed'), revoked = revoked - (OLD.status = 'revoked')
            WHERE album = OLD.album AND batch = OLD.batch;
        INSERT INTO batches (album, batch, issued, redeemed, revoked)
            VALUES (NEW.album, NEW.batch, NEW.status = 'issued', NEW.status = 'redeemed', NEW.status = 'revoked')
            ON CONFLICT (album, batch) DO UPDATE SET issued = issued + excluded.issued,
                redeemed = redeemed + excluded.redeemed, revoked = revoked + excluded.revoked;
    END;
    CREATE TRIGGER tickets_counted_when_removed AFTER DELETE ON tickets BEGIN
        UPDATE batches SET issued = issued - (OLD.status = 'issued'),
                redeemed = redeemed - (OLD.status = 'redeemed'), revoked = revoked - (OLD.status = 'revoked')
            WHERE album = OLD.album AND batch = OLD.batch;
    END;
";
