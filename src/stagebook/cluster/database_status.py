"""What the database of a book says of itself: its version, how it keeps what it has acknowledged, and its standbys.

Everybody may read the settings. Of the standbys, a user without the role `pg_monitor` only learns that there are some
(postgresql.org/docs/current/monitoring-stats.html): their names and how far they are behind are then None.
"""

from typing import Final

import msgspec

from stagebook.book.postgres.postgres_connection import PostgresConnection

_STATUS: Final = """
SELECT current_setting('server_version'), current_setting('synchronous_standby_names'),
    (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'), current_setting('fsync'),
    current_setting('full_page_writes'), current_setting('max_connections')::integer,
    (SELECT count(*)::integer FROM pg_stat_activity WHERE datid IS NOT NULL),
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint, pg_database_size(current_database())
"""
# With a bound: a status is printed.
_STANDBYS: Final = """
SELECT application_name, state, sync_state, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint,
    extract(epoch FROM replay_lag)::double precision
FROM pg_stat_replication ORDER BY application_name, pid LIMIT 100
"""


class StandbyStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A standby that is connected. None is what this user may not see, or the standby has not reported yet.

    `sync_state` is `sync` or `quorum` for one that a commit waits for, and `async` or `potential` for others.
    """

    name: str | None
    state: str | None
    sync_state: str | None
    lag_bytes: int | None
    lag_seconds: float | None


class DatabaseStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The database of a book. `now_ms` is its clock, in milliseconds since the epoch.

    `synchronous_commit` is the setting of the server, which a session of Stagebook replaces if it is `off`.
    `connections` are those of all databases of the server. `standbys` are the first 100.
    """

    version: str
    synchronous_standby_names: str
    synchronous_commit: str
    fsync: str
    full_page_writes: str
    max_connections: int
    connections: int
    now_ms: int
    size_bytes: int
    standbys: tuple[StandbyStatus, ...]


def read_database_status(connection: PostgresConnection) -> DatabaseStatus:
    """Return the status of a database. Raises BookFailedError."""
    ((version, names, commit, fsync, pages, limit, connections, now_ms, size_bytes),) = connection.execute(_STATUS)
    return DatabaseStatus(
        version=version,
        synchronous_standby_names=names,
        synchronous_commit=commit,
        fsync=fsync,
        full_page_writes=pages,
        max_connections=limit,
        connections=connections,
        now_ms=now_ms,
        size_bytes=size_bytes,
        standbys=tuple(
            StandbyStatus(name=name, state=state, sync_state=sync, lag_bytes=lag_bytes, lag_seconds=lag_seconds)
            for name, state, sync, lag_bytes, lag_seconds in connection.execute(_STANDBYS)
        ),
    )
