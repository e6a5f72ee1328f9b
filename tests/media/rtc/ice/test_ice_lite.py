"""The ICE-lite agent: path selection, consent and restarts."""

from stagebook.media.rtc.ice.ice_lite import IceCredentials, IceLiteAgent
from stagebook.media.rtc.ice.udp_socket import Path, UdpSocket

FIRST, SECOND = IceCredentials(ufrag="first", pwd="p" * 24), IceCredentials(ufrag="second", pwd="q" * 24)


def paths() -> tuple[Path, Path]:
    """Two paths over one socket, which is closed: nothing is sent here."""
    socket = UdpSocket("127.0.0.1", 0)
    socket.close()
    return Path(socket, ("192.0.2.1", 1)), Path(socket, ("192.0.2.2", 2))


def test_the_first_check_selects_the_path_and_only_a_nomination_changes_it() -> None:
    agent = IceLiteAgent(FIRST, now=0.0)
    first, second = paths()
    assert agent.receive_check(path=first, ufrag="first", nominated=False, now=1.0)
    assert not agent.receive_check(path=second, ufrag="first", nominated=False, now=2.0)
    assert agent.path == first
    assert agent.receive_check(path=second, ufrag="first", nominated=True, now=3.0)
    assert not agent.receive_check(path=second, ufrag="first", nominated=True, now=4.0)
    assert agent.path == second


def test_each_check_renews_consent() -> None:
    agent = IceLiteAgent(FIRST, now=1.0)
    path, _ = paths()
    assert agent.consent_at == 1.0
    agent.receive_check(path=path, ufrag="first", nominated=False, now=5.0)
    assert agent.consent_at == 5.0


def test_a_restart_keeps_the_previous_credentials_until_the_new_ones_are_used() -> None:
    agent = IceLiteAgent(FIRST, now=0.0)
    path, _ = paths()
    agent.restart(SECOND)
    agent.receive_check(path=path, ufrag="first", nominated=True, now=1.0)
    assert (agent.password_for("first"), agent.password_for("second")) == (FIRST.pwd, SECOND.pwd)
    agent.receive_check(path=path, ufrag="second", nominated=True, now=2.0)
    assert (agent.password_for("first"), agent.password_for("second")) == (None, SECOND.pwd)
    assert agent.password_for("unknown") is None
