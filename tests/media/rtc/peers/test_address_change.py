"""aiortc peers whose NAT gives them another port in mid-call: media goes on, and the connections stay."""

from stagebook.media.port import Closed, Connected
from tests.media.rtc.peers.aiortc_peers import AiortcPublisher, AiortcViewer
from tests.media.rtc.running_engine import running_engine, wait_until
from tests.network.emulator.emulated_network import emulated_network


async def test_media_follows_peers_whose_nat_gives_them_another_port() -> None:
    async with running_engine() as engine, emulated_network() as network:
        uplink = await network.relay("127.0.0.1", engine.forwarder.udp_port)
        downlink = await network.relay("127.0.0.1", engine.forwarder.udp_port)
        publisher, viewer = AiortcPublisher(engine, "p"), AiortcViewer(engine, "v")
        await publisher.publish(port=uplink.port)
        await engine.wait_for(Connected(connection_id="p"))
        await viewer.subscribe(port=downlink.port)
        await viewer.wait_for_media()
        entries = [engine.forwarder._connections.get(each) for each in ("p", "v")]
        agents = [entry.peer.ice for entry in entries if entry is not None]
        await wait_until(lambda: all(agent.answers_probes for agent in agents), "the answers to probes")
        before = [agent.path for agent in agents]
        await uplink.rebind()
        await downlink.rebind()
        moves = list(zip(agents, before, strict=True))
        await wait_until(lambda: all(agent.path != path for agent, path in moves), "the new paths")
        await viewer.wait_for_media()
        assert not any(isinstance(fact, Closed) for fact in engine.facts)
        await publisher.leave()
        await viewer.leave()
