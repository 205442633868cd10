import pytest

from pipeline.redact import redact, redact_log, redact_values


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://me:secret@host/x", "https://me:***@host/x"),
        ("https://me:se@cret@host/x", "https://me:***@host/x"),
        ("tracking.uri=http://:pw@host", "tracking.uri=http://:***@host"),
        ("https://ghp_abc@github.com/a/b", "https://***@github.com/a/b"),
        ("abfs://container@account/path", "abfs://container@account/path"),
        ("s3://bucket/key@2x.png", "s3://bucket/key@2x.png"),
        ("https://h/x?a=1&X-Amz-Signature=ab&b=2", "https://h/x?a=1&X-Amz-Signature=***&b=2"),
        ("https://h/x?token=ab#frag", "https://h/x?token=***#frag"),
        ("tracking.token=abc def", "tracking.token=***"),
        ("--password=abc", "--password=***"),
        ("model.pool_token=cls", "model.pool_token=cls"),
        ("train.duration=10ep", "train.duration=10ep"),
    ],
)
def test_text(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_values() -> None:
    values = {"a": [{"token": "x", "lr": 0.1}], "db_password": "x", "num_tokens": 4, "token": 3, "u": "http://a:b@c"}
    assert redact_values(values) == {
        "a": [{"token": "***", "lr": 0.1}],
        "db_password": "***",
        "num_tokens": 4,
        "token": 3,
        "u": "http://a:***@c",
    }


def test_logs_hold_no_secrets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abcdefgh/+1")
    monkeypatch.setenv("CI_TOKEN", "short")
    text = "signed with abcdefgh/+1 for a short time, tracking http://me:pw@host"
    assert redact_log(text) == "signed with *** for a short time, tracking http://me:***@host"
    assert redact(text).startswith("signed with abcdefgh")  # what is hashed does not depend on the environment
