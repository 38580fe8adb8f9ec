"""The migrations and tables.py describe the same schema, and the migrations go up, down and up again."""

import psycopg
from alembic import command
from sqlalchemy import text

from app.store import migrate
from app.store.accounts import Accounts
from app.store.database import Database, sync_engine
from app.store.seal import Sealer
from app.store.standing import head, is_set_up
from app.store.tables import metadata

_CATALOG = """
SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
       pg_get_expr(d.adbin, d.adrelid)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relname <> 'alembic_version'
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), NULL, NULL, NULL
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
  AND conrelid::regclass::text NOT LIKE '%\\_default'
  AND conrelid::regclass::text <> 'alembic_version'
UNION ALL
SELECT 'index', tablename, indexname, indexdef, NULL, NULL, NULL
FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE '%\\_default' AND tablename <> 'alembic_version'
UNION ALL
SELECT 'storage', relname, array_to_string(reloptions, ' '), pg_get_partkeydef(oid), NULL, NULL, NULL
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
  AND relname <> 'alembic_version'
ORDER BY 1, 2, 3
"""


def test_alembic_check_finds_nothing_to_do(database_url: str) -> None:
    engine = sync_engine(database_url)
    with engine.begin() as connection:
        command.check(migrate.alembic_config(connection))
    engine.dispose()


def test_the_migrations_make_what_tables_py_says_checks_and_storage_included(
    database_url: str, empty_database_url: str
) -> None:
    engine = sync_engine(empty_database_url)
    metadata.create_all(engine)
    engine.dispose()
    with psycopg.connect(database_url) as migrated, psycopg.connect(empty_database_url) as made:
        assert migrated.execute(_CATALOG).fetchall() == made.execute(_CATALOG).fetchall()


def test_the_migrations_go_down_and_up_again(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    assert migrate.current(empty_database_url) == head()
    engine = sync_engine(empty_database_url)
    with engine.begin() as connection:
        command.downgrade(migrate.alembic_config(connection), "base")
        left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        assert connection.execute(text(left)).scalar() == 1  # alembic_version itself
    engine.dispose()
    migrate.upgrade(empty_database_url)
    assert migrate.current(empty_database_url) == head()


# As the version before numbers and recordings wrote them: its workers go on while this one's schema is there.
_OLD_CALL = (
    "INSERT INTO calls (sid, account_sid, direction, from_uri, to_uri) VALUES (:sid, 'AC1', 'outbound-api', 'a', 'b')"
)
_NEW_ROWS = (
    "INSERT INTO number (number, account_sid, url, method, fallback_method) VALUES ('1', 'AC1', 'u', 'GET', 'POST')",
    "INSERT INTO call_replacement (call_sid, sealed) VALUES ('CA1', 'x')",
    "INSERT INTO recording (sid, account_sid, call_sid, epoch, source, channels, started_at) "
    "VALUES ('RE1', 'AC1', 'CA1', 1, 'DialVerb', 2, now())",
    "UPDATE calls SET screening = 'accepted', has_caller = true, recording_sid = 'RE1' WHERE sid = 'CA1'",
)


def test_calls_outlive_the_step_to_two_parties_and_the_step_back(empty_database_url: str) -> None:
    engine = sync_engine(empty_database_url)
    with engine.begin() as connection:
        config = migrate.alembic_config(connection)
        command.upgrade(config, "0002")
        connection.execute(text(_OLD_CALL), {"sid": "CA1"})
        command.upgrade(config, "0003")
        connection.execute(text(_OLD_CALL), {"sid": "CA2"})
        stored = connection.execute(text("SELECT sid, has_caller, screening FROM calls ORDER BY sid")).all()
        assert [tuple(row) for row in stored] == [("CA1", False, None), ("CA2", False, None)]
        for sql in _NEW_ROWS:
            connection.execute(text(sql))
        command.downgrade(config, "0002")
        assert connection.execute(text("SELECT array_agg(sid ORDER BY sid) FROM calls")).scalar() == ["CA1", "CA2"]
        command.upgrade(config, "head")
        assert connection.execute(text("SELECT count(*) FROM recording")).scalar() == 0
    engine.dispose()


async def test_a_database_without_schema_is_not_ready_and_a_migrated_one_is(
    empty_database_url: str, database: Database
) -> None:
    empty = Database(empty_database_url)
    assert not await migrate.ready(empty)
    await empty.close()
    assert await migrate.ready(database)


async def test_a_database_is_set_up_with_its_schema_and_its_account(
    database_url: str, empty_database_url: str, database: Database, sealer: Sealer
) -> None:
    account = await Accounts(database, sealer).ensure_first(None, None, None)
    assert is_set_up(database_url, account.sid)
    assert not is_set_up(database_url, "AC" + "0" * 32)
    assert not is_set_up(empty_database_url, account.sid)
