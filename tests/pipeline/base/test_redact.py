import time
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from pipeline.base.redact import HIDDEN, redact, redact_log, redact_values
from pipeline.recipe import Recipe


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://me:secret@host/x", "https://me:***@host/x"),
        ("https://me:se@cret@host/x", "https://me:***@host/x"),
        ("tracking.uri=http://:pw@host", "tracking.uri=http://:***@host"),
        ("https://ghp_abc@github.com/a/b", "https://***@github.com/a/b"),
        ("redis://:pw@host:1/0", "redis://:***@host:1/0"),
        # As SQLAlchemy reads it: a password may hold a slash, a blank, a question mark, and a user an @.
        ("postgresql://u:p/ss@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:p ss@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:p?s#s@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:p@ss@h/db", "postgresql://u:***@h/db"),
        ("mysql+pymysql://me@corp:123/ss@h:3306/db", "mysql+pymysql://me@corp:***@h:3306/db"),
        ("http://u:p/ss@h/x", "http://u:***@h/x"),
        (
            "(x) postgresql://u:p/s s@h/db, then http://a:b@c/d",
            "(x) postgresql://u:***@h/db, then http://a:***@c/d",
        ),
        ("https://h/x?a=1&X-Amz-Signature=ab&b=2", "https://h/x?a=1&X-Amz-Signature=***&b=2"),
        ("https://h/x?X-Amz-Date=1&X-Goog-Signature=a", "https://h/x?X-Amz-Date=***&X-Goog-Signature=***"),
        ("https://h/x?token=ab#frag", "https://h/x?token=***#frag"),
        ("https://h/x?access_token=ab&auth=c&jwt=d", "https://h/x?access_token=***&auth=***&jwt=***"),
        ("https://h/x?sig=ab&Signature=c&Policy=d", "https://h/x?sig=***&Signature=***&Policy=***"),
        ("https://h/x?key=ab&password=c&apikey=d", "https://h/x?key=***&password=***&apikey=***"),
        ("https://h/cb#access_token=ab", "https://h/cb#access_token=***"),
        ("tracking.token=abc def", "tracking.token=***"),
        ("--password=abc", "--password=***"),
        ("started with HF_TOKEN=hf_ab --x", "started with HF_TOKEN=*** --x"),
        ("env: WANDB_API_KEY=ab, LR=0.1", "env: WANDB_API_KEY=***, LR=0.1"),
        ("is GITHUB_PAT: ghp_ab", "is GITHUB_PAT: ***"),
        ("{'SIGNING_KEY': 'a b', 'lr': 0.1}", "{'SIGNING_KEY': ***, 'lr': 0.1}"),
        ('{"db_pwd": "a b", "lr": 0.1}', '{"db_pwd": ***, "lr": 0.1}'),
        ("in db.password: hunter2", "in db.password: ***"),
        ("in gcp_credentials: abc", "in gcp_credentials: ***"),
        ("AccountName=a;AccountKey=ab==;EndpointSuffix=b", "AccountName=a;AccountKey=***;EndpointSuffix=b"),
        ("> Authorization: Bearer abc.def\n> Accept: */*", "> Authorization: ***\n> Accept: */*"),
        ("the token: hf_abcdEF123", "the token: ***"),
        ("x deploy_key=Zm9vYmFyMTIz==", "x deploy_key=***"),
    ],
)
def test_secrets(text: str, clean: str) -> None:
    assert redact(text) == clean
    assert redact(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "abfs://container@account/path",
        "s3://bucket/key@2x.png",
        "http://localhost:8080/a@2x.png",
        "http://[::1]:8080/a@2x.png",
        "postgresql://host:5432/db",
        "postgresql://host:5432/db does not answer: ask admin@example.org",
        "http://localhost:8080/health does not answer, ask admin@example.org",
        "model.pool_token=cls",
        "train.duration=10ep",
        "train.patience=3",
        "an override is written as key.subkey=value, or KEY=VALUE",
        "monkey=3 turkey: 4 MONKEY=3",
        "keys: [a, b]",
        "data.sort_key=label",
        "/data/key=3/token/pat/x.jpg",
        "https://h/x?monkey=3&keyframes=2",
        "pattern=abc12345 compat: abc12345",
        "token: 93.1 %, 12 samples",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE",
    ],
)
def test_words(text: str) -> None:
    assert redact(text) == text


def test_values() -> None:
    values = {"a": [{"token": "x", "lr": 0.1}], "db_password": "x", "num_tokens": 4, "token": 3, "u": "http://a:b@c"}
    assert redact_values(values) == {
        "a": [{"token": "***", "lr": 0.1}],
        "db_password": "***",
        "num_tokens": 4,
        "token": 3,
        "u": "http://a:***@c",
    }


def _keys(section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield name
        waiting: list[Any] = [field.annotation]
        while waiting:
            annotation = waiting.pop()
            waiting += get_args(annotation)
            if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation is not section:
                yield from _keys(annotation)


def test_no_key_of_a_recipe_is_taken_for_a_secret() -> None:
    """Two recipes that differ in what is hidden would have the same fingerprint."""
    names = set(_keys(Recipe))
    assert {"patience", "pattern", "path", "batch_size"} <= names
    assert [name for name in names if HIDDEN in str(redact_values({name: "a"}))] == []


def test_logs_hold_no_secrets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abcdefgh/+1")
    monkeypatch.setenv("WANDB_API_KEY", "ijklmnop")
    monkeypatch.setenv("DB_PWD", "qrstuvwx")
    monkeypatch.setenv("PWD", "/home/somebody")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/home/me/key.json")
    monkeypatch.setenv("CI_TOKEN", "short")
    text = "in /home/somebody: signed with abcdefgh/+1 for a short time, http://me:pw@host, ijklmnop qrstuvwx"
    assert redact_log(text) == "in /home/somebody: signed with *** for a short time, http://me:***@host, *** ***"
    assert redact_log("no file /home/me/key.json") == "no file /home/me/key.json"
    assert "signed with abcdefgh" in redact(text)  # what is hashed does not depend on the environment


@pytest.mark.parametrize("part", ["://x:", "key=", "z ", "postgresql://a:b "])
def test_a_long_line_is_read_once(part: str) -> None:
    """Read again from every part, this line would take many minutes."""
    began_s = time.process_time()
    redact("http://x:" + part * 50_000)
    assert time.process_time() - began_s < 30
