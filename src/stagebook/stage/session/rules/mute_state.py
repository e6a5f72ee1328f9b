"""What participants say about the media that they publish: audio muted, video stopped.

It is shown to the watchers of the stage and makes no event. Media of a kind that its publication does not send is shown
as muted or stopped, whatever the participant says. A replica shows the state of its publisher. The state lasts as long
as the participant is on the stage.
"""

from msgspec.structs import replace

from stagebook.stage.session.decision import Refusal
from stagebook.stage.session.draft import Draft
from stagebook.stage.session.rules.replicas import tell_mute
from stagebook.stage.session.session_facts import MuteStateSet, ReplicaMuteSet
from stagebook.stage.session.session_state import MuteState, shown_mute


def mute_state_set(draft: Draft, fact: MuteStateSet) -> Refusal:
    """Set the mute state of a participant on the stage, and of its replicas. The present state changes nothing."""
    participant = draft.find(fact.participant_id)
    if participant is None or not participant.machine.connections or participant.machine.is_replica:
        return None
    before = participant.mute
    mute = MuteState(
        audio_muted=before.audio_muted if fact.audio_muted is None else fact.audio_muted,
        video_stopped=before.video_stopped if fact.video_stopped is None else fact.video_stopped,
    )
    if mute == before:
        return None
    draft.put(replace(participant, mute=mute))
    tell_mute(draft, fact.participant_id, before=shown_mute(participant))
    return None


def replica_mute_set(draft: Draft, fact: ReplicaMuteSet) -> Refusal:
    """Set the mute state of a replica to that of its publisher."""
    replica = draft.find(fact.participant_id)
    if replica is not None and replica.machine.replica_id == fact.replication_id and replica.mute != fact.mute:
        draft.put(replace(replica, mute=fact.mute))
    return None
