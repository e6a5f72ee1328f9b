"""Fixtures: a server, pages and relays for the scenarios, and their figures at the end of the run."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.browser.chromium import find_chromium, running_chromium
from tests.e2e.browser.page_server import PAGES, serve_pages
from tests.e2e.client.bidi_connection import BidiConnection
from tests.e2e.client.firefox import find_firefox, running_firefox
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server
from tests.network.emulator.emulated_network import EmulatedNetwork, emulated_network
from tests.network.peers.network_participants import NetworkParticipants
from tests.network.peers.pion_viewers import PionUnavailableError, build_pion_client
from tests.network.scenarios.scene import Scene

FIGURES = "figures"
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - Firefox sends no media to 127.0.0.1
ALL_LAYERS = "--force-fieldtrials=WebRTC-LegacySimulcastLayerLimit/Disabled/"
"""Chromium sends three layers of small pictures only with this. Large ones would be too much for a busy machine."""
NETWORK_PAGES = Path(__file__).parent / "pages"


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = find_chromium()
    if path is None:
        pytest.skip("there is no Chromium on the path")
    return path


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with running_chromium(chromium_path, ALL_LAYERS) as browser:
        yield browser


@pytest.fixture(scope="session")
def network_page() -> Iterator[str]:
    with serve_pages(browser=PAGES, network=NETWORK_PAGES) as url:
        yield f"{url}/network/network_peer.html"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("network") / "data"
    with run_server(data, session_linger_seconds="60", media_bind=ANY_ADDRESS) as server:
        yield server
    assert "level=error" not in server.log, server.log


@pytest.fixture
def stage(server: RunningServer) -> StageHandle:
    return StageHandle(server)


@pytest_asyncio.fixture(loop_scope="session")
async def network() -> AsyncIterator[EmulatedNetwork]:
    async with emulated_network() as network:
        yield network


@pytest_asyncio.fixture(loop_scope="session")
async def participants(browser: Browser, network_page: str) -> AsyncIterator[NetworkParticipants]:
    participants = NetworkParticipants(browser, network_page)
    yield participants
    await participants.close()


@pytest.fixture
def scene(stage: StageHandle, network: EmulatedNetwork, participants: NetworkParticipants) -> Scene:
    """A stage whose participants use Chromium."""
    return Scene(stage, network, publishers=participants, viewers=participants)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def firefox() -> AsyncIterator[BidiConnection]:
    path = find_firefox()
    if path is None:
        pytest.skip("there is no Firefox on the path")
    async with running_firefox(path) as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="session")
async def scene_in_firefox(
    stage: StageHandle,
    network: EmulatedNetwork,
    participants: NetworkParticipants,
    firefox: BidiConnection,
    network_page: str,
) -> AsyncIterator[Scene]:
    """A stage whose viewers use Firefox."""
    viewers = NetworkParticipants(firefox, network_page)
    yield Scene(stage, network, publishers=participants, viewers=viewers)
    await viewers.close()


@pytest.fixture(scope="session")
def pion_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pion client. Skips the test where it cannot be built."""
    try:
        return build_pion_client(tmp_path_factory.mktemp("pion"))
    except PionUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Notes figures, which pytest shows at the end of the run."""

    def note(**values: object) -> None:
        said = ", ".join(f"{name} {_rounded(value)}" for name, value in values.items())
        request.node.user_properties.append((FIGURES, f"{request.node.name}: {said}"))

    return note


def _rounded(value: object) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures of all tests, also of those that another process has run."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    properties = [each for report in reports for each in getattr(report, "user_properties", [])]
    lines = sorted({text for name, text in properties if name == FIGURES})
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.line(line)
