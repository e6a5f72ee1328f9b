"""All checks in their order."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.certificate_checks import judge_certificate, read_certificate_facts
from stagebook.diagnosis.clock_checks import judge_clock, read_clock_facts
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.diagnosis.folder_checks import judge_folder, read_folder_facts
from stagebook.diagnosis.library_checks import judge_libraries
from stagebook.diagnosis.library_versions import read_library_versions
from stagebook.diagnosis.livekit_checks import judge_livekit, read_livekit_facts
from stagebook.diagnosis.network.port_checks import judge_port, read_port_facts
from stagebook.diagnosis.network.udp_checks import judge_buffers, judge_datagram, read_datagram_facts
from stagebook.diagnosis.resource_checks import judge_resources, read_resource_facts
from stagebook.diagnosis.server_checks import judge_server, read_server_facts
from stagebook.diagnosis.settings_checks import judge_refusal, judge_settings, judge_settings_file
from stagebook.diagnosis.spool_checks import judge_spools, read_spool_facts
from stagebook.diagnosis.storage_checks import judge_storage, read_storage_facts


def diagnose(settings: Settings, *, settings_file: Path | None = None) -> list[Finding]:
    """Check everything that concerns a server with these settings. Takes seconds if UDP fails."""
    folder = DataFolder(Path(settings.data).absolute())
    server = read_server_facts(folder)
    findings = [*judge_settings(settings), *judge_settings_file(settings_file), *judge_server(server)]
    findings += judge_folder(read_folder_facts(folder))
    findings += judge_storage(read_storage_facts(settings, folder))
    livekit = read_livekit_facts(settings)
    if livekit is not None:
        findings.append(judge_livekit(livekit))
    findings += _check_cluster(settings, folder, is_running=server.process_id is not None)
    findings += judge_spools(read_spool_facts(settings, folder))
    findings += judge_resources(read_resource_facts(settings))
    findings += (judge_port(facts, server_id=server.process_id) for facts in read_port_facts(settings))
    datagrams = list(read_datagram_facts(settings))
    findings += (judge_datagram(facts) for facts in datagrams)
    findings += [found for facts in datagrams if (found := judge_buffers(facts, system=sys.platform))][:1]
    certificate = read_certificate_facts(settings, folder)
    if certificate is not None:
        findings += judge_certificate(certificate, now=datetime.now(UTC))
    findings += judge_clock(read_clock_facts(newest_event_ms=server.newest_event_ms))
    return [*findings, *judge_libraries(read_library_versions())]


def _check_cluster(settings: Settings, folder: DataFolder, *, is_running: bool) -> list[Finding]:
    if settings.database_url is None:
        return []
    try:
        # Late: it needs the extra.
        from stagebook.diagnosis.cluster.cluster_checks import check_cluster
    except ImportError:
        return [
            Finding(
                check="database",
                subject="psycopg",
                severity=Severity.ERROR,
                found="the extra postgres is not installed",
                meaning="the server does not start",
                remedy="pip install 'stagebook[postgres]'",
            )
        ]
    return list(check_cluster(settings, folder, settings.database_url, is_running=is_running))


def diagnose_without_settings(error: ConfigError) -> list[Finding]:
    """Check what needs no settings, because they are refused."""
    clock = judge_clock(read_clock_facts(newest_event_ms=None))
    return [judge_refusal(error), *clock, *judge_libraries(read_library_versions())]
