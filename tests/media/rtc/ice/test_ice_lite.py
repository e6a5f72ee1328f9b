"""The ICE-lite agent: path selection, consent and restarts."""

from stagebook.media.rtc.ice.ice_lite import (
    CONSENT_SECONDS,
    PROBE_SECONDS,
    QUIET_PATH_SECONDS,
    IceCredentials,
    IceLiteAgent,
)
from stagebook.media.rtc.ice.udp_socket import Path, UdpSocket

FIRST, SECOND = IceCredentials(ufrag="first", pwd="p" * 24), IceCredentials(ufrag="second", pwd="q" * 24)


def paths() -> tuple[Path, Path]:
    """Two paths over one socket, which is closed: nothing is sent here."""
    socket = UdpSocket("127.0.0.1", 0)
    socket.close()
    return Path(socket, ("192.0.2.1", 1)), Path(socket, ("192.0.2.2", 2))


def agent_on(path: Path) -> IceLiteAgent:
    """An agent with a path since the time 0."""
    agent = IceLiteAgent(FIRST, now=0.0)
    agent.receive_check(path=path, ufrag="first", nominated=True, now=0.0)
    return agent


def test_the_first_check_selects_the_path_and_a_nomination_changes_it_at_once() -> None:
    agent = IceLiteAgent(FIRST, now=0.0)
    first, second = paths()
    assert agent.receive_check(path=first, ufrag="first", nominated=False, now=1.0)
    assert not agent.receive_check(path=second, ufrag="first", nominated=False, now=2.0)
    assert agent.path == first
    assert agent.receive_check(path=second, ufrag="first", nominated=True, now=3.0)
    assert not agent.receive_check(path=second, ufrag="first", nominated=True, now=4.0)
    assert agent.path == second


def test_checks_and_media_on_the_path_renew_consent_and_show_that_the_peer_exists() -> None:
    path, _ = paths()
    agent = agent_on(path)
    agent.receive_check(path=path, ufrag="first", nominated=False, now=5.0)
    assert (agent.consent_at, agent.last_received_at) == (5.0, 5.0)
    # An equal path, as the other demultiplexer of a dual-stack peer would make it.
    agent.receive_verified(Path(path.socket, path.address), 6.0)
    assert (agent.consent_at, agent.last_received_at) == (6.0, 6.0)


def test_an_indication_on_the_path_shows_that_the_peer_exists_and_renews_no_consent() -> None:
    path, other = paths()
    agent = agent_on(path)
    agent.receive_indication(path, 5.0)
    agent.receive_indication(other, 9.0)
    assert (agent.consent_at, agent.last_received_at) == (0.0, 5.0)


def test_the_path_follows_verified_datagrams_when_it_is_quiet() -> None:
    old, new = paths()
    agent = agent_on(old)
    agent.receive_verified(old, 10.0)
    assert not agent.receive_verified(new, 10.0 + QUIET_PATH_SECONDS - 0.1)
    assert agent.path == old
    assert agent.last_received_at == 10.0 + QUIET_PATH_SECONDS - 0.1
    assert agent.receive_verified(new, 10.0 + QUIET_PATH_SECONDS)
    assert agent.path == new
    # The old address does not take the path back as long as the new one is in use.
    assert not agent.receive_check(path=old, ufrag="first", nominated=False, now=10.0 + QUIET_PATH_SECONDS)
    assert agent.path == new


def test_without_consent_there_is_no_path_until_the_next_verified_datagram() -> None:
    path, other = paths()
    agent = agent_on(path)
    assert not agent.expire_consent(CONSENT_SECONDS)
    assert agent.expire_consent(CONSENT_SECONDS + 0.1)
    assert not agent.expire_consent(CONSENT_SECONDS + 0.2)
    assert agent.path is None
    agent.receive_indication(path, 40.0)
    assert (agent.path, agent.last_received_at) == (None, 40.0)
    assert agent.receive_verified(other, 41.0)
    assert agent.path == other


def test_a_restart_keeps_the_previous_credentials_until_the_new_ones_are_used() -> None:
    agent = IceLiteAgent(FIRST, now=0.0)
    path, _ = paths()
    agent.restart(SECOND, now=0.0)
    agent.receive_check(path=path, ufrag="first", nominated=True, now=1.0)
    assert (agent.password_for("first"), agent.password_for("second")) == (FIRST.pwd, SECOND.pwd)
    agent.receive_check(path=path, ufrag="second", nominated=True, now=2.0)
    assert (agent.password_for("first"), agent.password_for("second")) == (None, SECOND.pwd)
    assert agent.password_for("unknown") is None


def test_a_restart_is_a_sign_of_the_peer_and_gives_no_consent() -> None:
    path, _ = paths()
    agent = agent_on(path)
    consent_at = agent.consent_at
    agent.restart(SECOND, now=14.0)
    assert (agent.last_received_at, agent.consent_at) == (14.0, consent_at)


def test_checks_of_a_peer_that_answers_probes_neither_move_the_path_nor_renew_consent() -> None:
    path, other = paths()
    agent = agent_on(path)
    agent.receive_response(path, nominated=False, now=1.0)
    assert not agent.receive_check(path=path, ufrag="first", nominated=True, now=4.0)
    assert (agent.consent_at, agent.last_received_at) == (1.0, 4.0)
    assert not agent.receive_check(path=other, ufrag="first", nominated=True, now=5.0)
    assert not agent.receive_check(path=other, ufrag="first", nominated=False, now=25.0)
    assert agent.path == path
    assert agent.expire_consent(1.0 + CONSENT_SECONDS + 0.1)
    assert not agent.receive_check(path=other, ufrag="first", nominated=True, now=32.0)
    assert agent.path is None


def test_the_response_to_a_probe_after_a_nomination_moves_the_path_at_once() -> None:
    path, other = paths()
    agent = agent_on(path)
    assert agent.receive_response(other, nominated=True, now=1.0)
    assert agent.path == other
    # The response on an address that was not nominated is like media from there.
    assert not agent.receive_response(path, nominated=False, now=1.0 + QUIET_PATH_SECONDS - 0.1)
    assert agent.receive_response(path, nominated=False, now=1.0 + QUIET_PATH_SECONDS)
    assert agent.path == path


def test_a_probe_is_needed_for_another_address_and_for_a_path_that_nothing_has_proved() -> None:
    path, other = paths()
    agent = agent_on(path)
    assert agent.needs_probe(other, 0.1)
    assert not agent.needs_probe(path, PROBE_SECONDS - 0.1)
    assert agent.needs_probe(path, PROBE_SECONDS)
    agent.receive_verified(path, 6.0)
    assert not agent.needs_probe(path, 6.0)
