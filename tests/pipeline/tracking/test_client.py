import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import DatabaseError

from pipeline.tracking import client as client_module
from pipeline.tracking.address import Tracking
from pipeline.tracking.client import NoAnswer, client, create_schema, is_refusal, ping, reason

CREATE = """
import sys
from collections.abc import Iterator
from pathlib import Path
from pipeline.tracking.address import resolve
from pipeline.tracking.client import client
print(len(client(resolve("sqlite:///" + sys.argv[1], Path("."))).search_experiments()))
"""


def http(port: int) -> Tracking:
    return Tracking(f"http://ann:s3cret@127.0.0.1:{port}", None, "")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers, as a stopped server does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield int(listener.getsockname()[1])


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.slow
def test_processes_that_create_one_store_at_once_do_not_break_each_other(tmp_path: Path) -> None:
    database = tmp_path / "deep" / "mlflow.db"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CREATE, str(database)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=300) for process in processes]
    assert answers == [("1\n", ""), ("1\n", "")]  # and no chatter
    assert [path.name for path in database.parent.iterdir()] == ["mlflow.db"]


def test_an_existing_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"something")
    create_schema(tmp_path / "mlflow.db", "")
    assert (tmp_path / "mlflow.db").read_bytes() == b"something"


def test_ping_gives_up_on_a_silent_and_on_a_closed_port(
    silent_port: int, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PING_TIMEOUT_S", 0.2)
    with pytest.raises(NoAnswer, match="Timeout"):
        ping(http(silent_port))
    with pytest.raises(NoAnswer, match="Connection"):
        ping(http(closed_port))


def test_what_mlflow_refuses_for_good_is_told_from_what_it_may_take_later(tmp_path: Path, closed_port: int) -> None:
    (tmp_path / "broken.db").write_bytes(b"not a database" * 100)
    mlflow = client(Tracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "a"), ""))
    with pytest.raises(MlflowException) as refused:
        mlflow.create_experiment("")
    assert is_refusal(refused.value)
    with pytest.raises(DatabaseError) as broken:
        client(Tracking(f"sqlite:///{tmp_path}/broken.db", None, "")).search_experiments()
    assert not is_refusal(broken.value)
    assert "not a database" in reason(broken.value)
    with pytest.raises(MlflowException) as away:
        client(http(closed_port)).search_experiments()
    assert not is_refusal(away.value)
    assert "s3cret" not in reason(away.value)


def test_the_schema_is_mlflows(tmp_path: Path) -> None:
    tracking = Tracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "a"), "")
    client(tracking)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    assert {"runs", "metrics", "params", "alembic_version"} <= tables
