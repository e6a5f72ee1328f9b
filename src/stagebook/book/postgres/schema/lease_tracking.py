"""What lets a node read the leases that have changed, and the runs that live (`leases/lease_reads.py`).

A trigger sets `changed_in`, so that the version before, which does not know the column, sets it as well. Neither index
has a column that a heartbeat changes: a heartbeat writes to no index.
"""

from typing import Final

LEASE_TRACKING: Final = """
ALTER TABLE account_lease ADD COLUMN changed_in xid8 NOT NULL DEFAULT '0';
CREATE INDEX account_lease_by_change ON account_lease (changed_in);
CREATE INDEX node_run_living ON node_run (run_id) WHERE fenced_at IS NULL AND ended_at IS NULL;

CREATE FUNCTION note_lease_change() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    NEW.changed_in := pg_current_xact_id();
    RETURN NEW;
END $function$;
CREATE TRIGGER account_lease_changed BEFORE INSERT OR UPDATE ON account_lease
FOR EACH ROW EXECUTE FUNCTION note_lease_change();
"""
