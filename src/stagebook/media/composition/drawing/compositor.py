"""The picture of a composition: who is shown, where, and with which picture.

Each call of `draw` makes one whole frame: one layout, and for each participant one picture. What has not changed
since the last frame is not drawn again, and a picture is scaled once, however often it is shown. A participant
without a picture, or with stopped video, has a plain tile.
"""

import math
from collections.abc import Iterable, Mapping

import av

from stagebook.media.composition.composition_port import CanvasSettings, ComposedParticipant
from stagebook.media.composition.drawing.canvas import BLACK, PLAIN, Canvas
from stagebook.media.composition.drawing.participant_pictures import ParticipantPictures
from stagebook.media.composition.drawing.picture_scaler import centred
from stagebook.media.composition.layout.arrangement import arrange
from stagebook.media.composition.layout.layout_settings import Layout, VideoFillMode
from stagebook.media.composition.layout.placement import ArrangedParticipant, PictureSize, Placement, Rectangle

LONGER_SIDE = 1920
SHORTER_SIDE = 1080
"""A publisher above 1080p is rendered audio only (user guide, Overview of IVS Server-Side Composition)."""


def is_above_1080p(width: int, height: int) -> bool:
    """Return whether a picture of this size is not shown."""
    return max(width, height) > LONGER_SIDE or min(width, height) > SHORTER_SIDE


class Compositor:
    """Draws the frames of one composition. No method waits; `draw` takes some milliseconds of processor time."""

    def __init__(self, canvas: CanvasSettings, layout: Layout) -> None:
        self._size = PictureSize(width=canvas.width, height=canvas.height)
        self._canvas = Canvas(self._size)
        self._layout = layout
        self._half_frame_us = round(500_000 / canvas.frames_per_second)
        self._participants: tuple[ComposedParticipant, ...] = ()
        self._pictures: dict[str, ParticipantPictures] = {}
        self._arranged_participants: list[ArrangedParticipant] = []
        self._arrangement: tuple[Placement, ...] = ()
        self._drawn_arrangement: tuple[Placement, ...] = ()
        self._must_redraw = False

    def show_participants(self, participants: tuple[ComposedParticipant, ...]) -> None:
        """Draw these participants from the next frame on. Who has stopped its video loses its last picture."""
        self._participants = participants
        self._pictures = {
            one.participant_id: self._pictures.get(one.participant_id) or ParticipantPictures() for one in participants
        }
        for one in participants:
            if one.is_video_stopped:
                self._pictures[one.participant_id].forget()
        self._must_redraw = True

    def receive_picture(self, participant_id: str, picture: av.VideoFrame, time_us: int) -> None:
        """Take a decoded picture, with its time on the participant's timeline in microseconds.

        The picture must not be changed afterwards. Pictures of unknown participants, and of those with stopped video,
        are dropped.
        """
        participant = next((one for one in self._participants if one.participant_id == participant_id), None)
        if participant is not None and not participant.is_video_stopped:
            self._pictures[participant_id].receive(picture, time_us)

    def draw(self, times_us: Mapping[str, int]) -> av.VideoFrame:
        """Return the next frame: in the format yuv420p, without a time, in memory of its own.

        `times_us` has for each participant how far its sound has been played (`AudioMixer.played_us`). It is drawn with
        its newest picture that is due within half a frame. Who is not in it is drawn with its newest picture.
        """
        changed = {
            participant_id
            for participant_id, pictures in self._pictures.items()
            if pictures.advance(self._due_us(times_us.get(participant_id)))
        }
        placements = self._arrange()
        if self._must_redraw or placements != self._drawn_arrangement:
            self._must_redraw, self._drawn_arrangement = False, placements
            self._canvas.clear()
            changed = set(self._pictures)
        drawn: list[Rectangle] = []
        for placement in placements:
            if placement.participant_id in changed or _is_below(placement, drawn):
                self._draw_one(placement)
                drawn.append(placement.rectangle)
        return self._canvas.to_frame()

    def wanted_heights(self) -> Mapping[str, int]:
        """Return how many lines the pictures of each participant need, for instance to choose a simulcast layer.

        Pictures of participants that are not in it are not drawn, and need no decoding. Who has stopped its video is in
        it: its next picture is shown at once, and waits for no keyframe. A publisher above 1080p is in it, so that its
        pictures show when they become smaller.
        """
        heights = {placement.participant_id: self._wanted_height(placement) for placement in self._arrange()}
        omitted_height = min(heights.values(), default=self._size.height)
        for one in self._participants:
            if one.is_video_stopped:
                heights.setdefault(one.participant_id, omitted_height)
            elif self._is_hidden(one.participant_id):
                heights[one.participant_id] = SHORTER_SIDE
        return heights

    def _due_us(self, played_us: int | None) -> int | None:
        return None if played_us is None else played_us + self._half_frame_us

    def _arrange(self) -> tuple[Placement, ...]:
        """Return the placements; they are calculated when something has changed that they depend on."""
        arranged = [self._arranged(one) for one in self._participants]
        if arranged != self._arranged_participants:
            self._arranged_participants = arranged
            self._arrangement = arrange(arranged, self._layout, self._size)
        return self._arrangement

    def _arranged(self, participant: ComposedParticipant) -> ArrangedParticipant:
        is_hidden = self._is_hidden(participant.participant_id)
        return ArrangedParticipant(
            participant_id=participant.participant_id,
            attributes=participant.attributes,
            is_video_stopped=participant.is_video_stopped or is_hidden,
            picture_size=None if is_hidden else self._pictures[participant.participant_id].size,
        )

    def _is_hidden(self, participant_id: str) -> bool:
        size = self._pictures[participant_id].size
        return size is not None and is_above_1080p(size.width, size.height)

    def _draw_one(self, placement: Placement) -> None:
        pictures = self._pictures[placement.participant_id]
        rectangle = placement.rectangle
        room = PictureSize(width=rectangle.width, height=rectangle.height)
        picture = None if self._is_hidden(placement.participant_id) else pictures.scaled(room, placement.fill_mode)
        if picture is None:
            self._canvas.fill(rectangle, PLAIN)
            return
        size = PictureSize(width=picture.width, height=picture.height)
        if size != room:
            self._canvas.fill(rectangle, BLACK)
        self._canvas.paste(picture, centred(size, rectangle))

    def _wanted_height(self, placement: Placement) -> int:
        """Return the height at which the picture needs no enlarging."""
        rectangle, size = placement.rectangle, self._pictures[placement.participant_id].size
        if size is None or placement.fill_mode is VideoFillMode.FILL:
            return rectangle.height
        by_width = math.ceil(rectangle.width / size.ratio)
        is_cover = placement.fill_mode is VideoFillMode.COVER
        return max(rectangle.height, by_width) if is_cover else min(rectangle.height, by_width)


def _is_below(placement: Placement, drawn: Iterable[Rectangle]) -> bool:
    """Return whether something was drawn over the rectangle of a placement."""
    return any(rectangle.overlaps(placement.rectangle) for rectangle in drawn)
