"""`stagebook --version`."""

import re
from importlib import metadata

import pytest

from stagebook.cli.command_line import main


def printed_versions(capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    return capsys.readouterr().out.splitlines()


def test_the_first_line_is_the_version_of_stagebook_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed_versions(capsys)[0] == f"stagebook {metadata.version('stagebook')}"


@pytest.mark.parametrize(
    "line",
    [
        r"Python 3\.\d+\.\d+ \(CPython\)",
        r"SQLite 3\.\d+\.\d+ \(apsw 3\.[\d.]+\)",
        r"OpenSSL \(TLS\) \d.*",
        r"OpenSSL \(DTLS, keys\) \d.*\(pyOpenSSL [\d.]+\)",
        r"Service model ivs-realtime 2020-07-14, 40 operations \(botocore [\d.]+\)",
        r"FFmpeg \S+ \(av [\d.]+\)",
        r"pylibsrtp [\d.]+",
    ],
)
def test_the_libraries_follow(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert [found for found in printed_versions(capsys) if re.fullmatch(line, found)]
