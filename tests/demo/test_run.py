"""The demo on a server that is already running."""

import pytest

from stagebook.demo.run import EXIT_FAILED, run_demo


def test_without_the_variables_of_aws_clients_the_demo_says_how_to_set_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    assert run_demo(endpoint_url="http://127.0.0.1:1") == EXIT_FAILED
    assert '`eval "$(stagebook env)"` sets what AWS clients need' in capsys.readouterr().err
