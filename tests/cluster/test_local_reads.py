"""Which operations any node answers: all reads, except those that show what an encoder does at the moment."""

from stagebook.api.aws.rest_json.service_model import load_service_model
from stagebook.cluster.local_reads import LOCAL_READS


def test_each_read_is_answered_by_any_node_or_needs_the_owner() -> None:
    reads = {name for name in load_service_model().operations if name.startswith(("Get", "List"))}
    assert reads - LOCAL_READS == {"GetIngestConfiguration", "ListIngestConfigurations"}
    assert reads >= LOCAL_READS
