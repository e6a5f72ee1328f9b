"""The examples of nginx and HAProxy agree with the settings, and the real programs accept them. Nothing is started."""

import re
import subprocess
from pathlib import Path

import pytest

from contrib.cluster.balancer_config import CONFIG_NAMES, FOLDER, BalancerPorts, example_for, write_balancer
from contrib.cluster.cluster_programs import BALANCERS, ProgramMissingError, find_balancer
from stagebook.config.settings import SETTINGS
from tests.e2e.cluster.balancers import balancer_program

PORTS = BalancerPorts(http=10_080, rtmp=10_935, rtmps=10_936)
NODES = [BalancerPorts(http=10_000 + each, rtmp=10_100 + each, rtmps=10_200 + each) for each in (1, 2, 3)]


@pytest.mark.parametrize("name", BALANCERS)
def test_the_program_accepts_the_example_with_and_without_livekit(name: str, tmp_path: Path) -> None:
    program = balancer_program(name)
    for livekit_ports in ((), (10_301, 10_302)):
        balancer = write_balancer(
            program, tmp_path, ports=PORTS, nodes=NODES, livekit_port=10_300, livekit_ports=livekit_ports
        )
        checked = subprocess.run(balancer.check_command, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert "warn" not in checked.stderr.lower(), checked.stderr


@pytest.mark.parametrize("name", CONFIG_NAMES.values())
def test_each_address_of_the_example_is_replaced(name: str) -> None:
    text = example_for(name, ports=PORTS, nodes=NODES, livekit_port=10_300, livekit_ports=(10_301, 10_302))
    text = re.sub(r"#.*", "", text)
    ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)}
    assert ports == {10_300, 10_301, 10_302, *PORTS, *(port for node in NODES for port in node)}
    assert not re.search(r"(node|livekit)-\d:", text)
    assert not re.search(r"(listen|bind) (?!127\.0\.0\.1:)", text)


@pytest.mark.parametrize("name", CONFIG_NAMES.values())
def test_the_settings_that_the_comments_name_exist(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    comments = " ".join(re.findall(r"#(.*)", text))
    named = set(re.findall(r"`([a-z_]+)`|\(([a-z]+_[a-z_]+)\)", comments))
    assert named
    for quoted, in_parentheses in named:
        assert (quoted or in_parentheses) in {*SETTINGS, "stream", "fail_timeout"}


def test_a_missing_balancer_is_named() -> None:
    with pytest.raises(ProgramMissingError, match="apt-get install no-such-balancer"):
        find_balancer(("no-such-balancer",))
