"""Video files, decoded by PyAV (FFmpeg's libraries).

A frame is a coded frame: frames are never repeated or dropped to reach a constant rate, so a clip with a
variable frame rate has exactly the frames that were encoded. Pixels are those of the coded frame (the sample
aspect ratio is ignored), turned and mirrored where the file says so, as a player does. FFmpeg's scaler
converts 10 and 12 bits to 8; the two fields of interlaced video stay woven together; HDR is refused.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from vgbench.clips import frame_index, limits
from vgbench.clips.alpha import flatten_alpha
from vgbench.clips.clip import Frames
from vgbench.clips.decoder_errors import decoded_frames, decoder_of
from vgbench.clips.display_matrix import upright
from vgbench.clips.file_clip import FileClip
from vgbench.clips.files import LocalFile, StoredFile, bad_clip_on_error
from vgbench.clips.frame_index import NO_STAMP, WORTH_SEEKING, FrameIndex, IndexBuilder
from vgbench.clips.h264 import has_idr_slice
from vgbench.clips.images import check_indices
from vgbench.clips.limits import check_frame_count, check_frame_size, check_time
from vgbench.clips.pixel_checksums import PixelChecksums, of_pixels, of_planes
from vgbench.clips.rates import constant_times, times_of_stamps
from vgbench.clips.suffixes import CONTAINERS, UNTIMED
from vgbench.clips.truncation import is_cut_off
from vgbench.errors import BadClip

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.filter import Graph
    from av.video.stream import VideoStream

# Codecs of which, in an indexed container, each packet is one shown frame; the frames of all other clips are
# counted by decoding.
ONE_PACKET_PER_FRAME = {
    "h264",
    "mjpeg",
    "ffv1",
    "png",
    "rawvideo",
    "huffyuv",
    "ffvhuff",
    "utvideo",
    "prores",
}
LOSSLESS = {
    "ffv1",
    "png",
    "apng",
    "gif",
    "rawvideo",
    "huffyuv",
    "ffvhuff",
    "utvideo",
    "qtrle",
    "magicyuv",
    "zmbv",
}
"""Codecs that store pixels as they are."""
INDEXED_CONTAINERS = {"mov", "matroska"}

HDR = {16: "PQ, SMPTE ST 2084", 18: "HLG, ARIB STD-B67"}
"""Transfer curves (ITU-T H.273, table 3) whose values are not sRGB's; there are many ways to map them."""

CLOCK_RATE = 1000
"""Headers of videos whose rate is unknown state that of the container's clock, 1000 or more per second."""

PALETTE = "pal8"
"""FFmpeg's pixel format of frames with a palette."""

SEEKS_BY_DECODING_TIME = {"mpegts", "mpeg"}
"""Containers without an index of their own, in which a seek finds the packet that is decoded at a time."""
LEAD = 8
"""Frames by which a packet may be decoded before it is shown; there, seeks aim so much earlier."""

TRIES = 3
"""Keyframes to try one after the other: a seek may land late, and a keyframe may depend on earlier ones."""


@dataclass(frozen=True)
class VideoClip(FileClip):
    """The first video stream of a file."""

    def count_frames(self) -> int:
        return len(self._index())

    def frame_times(self) -> npt.NDArray[np.float64] | None:
        index = self._index()
        with _opened(self.file) as (container, stream):
            if container.format.name in UNTIMED:
                return None
            rate = _stated_rate(stream)
            # Raw MPEG-1 and MPEG-2 streams have stamps for some frames only; FFmpeg makes up the others.
            unit = None if container.format.name == "mpegvideo" else stream.time_base
        times = None
        if unit is not None and NO_STAMP not in index.stamps:
            times = times_of_stamps([float(stamp * unit) for stamp in index.stamps.tolist()])
        if times is None and rate:  # some streams have no usable time stamps, and state a rate only
            return constant_times(len(index), rate)
        return times

    def frame_rate(self) -> float | None:
        with _opened(self.file) as (_, stream):
            return _stated_rate(stream)

    def is_lossless(self) -> bool:
        with _opened(self.file) as (_, stream):
            return stream.codec_context.name in LOSSLESS

    def first_frame_hash(self) -> str:
        with _opened(self.file) as (container, stream):
            if stream.codec_context.name not in LOSSLESS:
                packet = next(container.demux(stream))  # the same bytes in every container
                return hashlib.sha256(bytes(packet)).hexdigest()
        return super().first_frame_hash()

    def read(self, indices: Sequence[int]) -> Frames:
        frames = self._read_by_index(indices) if indices[0] > WORTH_SEEKING else None
        if frames is None:
            frames = self._read_through(indices)
        if any(frame.shape != frames[0].shape for frame in frames):
            raise BadClip(self.file.name, "the frame size changes within the clip")
        return np.stack(frames)

    def frames(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Decode all frames one after the other, each uint8 [H, W, 3]."""
        with _opened(self.file) as (container, stream):
            to_rgb = _RgbConverter(self.file.name, container, stream)
            for position, frame in enumerate(_decoded(self.file.name, container, stream)):
                yield to_rgb(frame, position)

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        return itertools.islice(self.frames(), count)

    def _read_through(self, indices: Sequence[int]) -> list[npt.NDArray[np.uint8]]:
        wanted = set(indices)
        frames = {}
        seen = 0
        with _opened(self.file) as (container, stream):
            to_rgb = _RgbConverter(self.file.name, container, stream)
            for frame in _decoded(self.file.name, container, stream):
                if seen in wanted:
                    frames[seen] = to_rgb(frame, seen)
                seen += 1
                if seen > indices[-1]:
                    break
        check_indices(self.file.name, indices, seen)
        return [frames[index] for index in indices]

    def _index(self) -> FrameIndex:
        """Return the index of the file, for which all frames are decoded unless listing packets is enough."""
        index = self._known_index()
        if index is None:
            builder = IndexBuilder()
            with _opened(self.file) as (container, stream):
                for frame in _decoded(self.file.name, container, stream):
                    builder.add(frame)
                index = builder.index()
                self._require_all_frames(container, stream, index)
            if len(index) == 0:
                raise BadClip(self.file.name, "no frame can be decoded")
            with bad_clip_on_error(self.file.name):
                frame_index.save(self.file, index)
                frame_index.remember(self.file, index)
        return index

    def _known_index(self) -> FrameIndex | None:
        """Return the index of the file; None if all frames would have to be decoded for it."""
        with bad_clip_on_error(self.file.name):
            index = frame_index.recall(self.file)
            if index is not None:
                return index
            with _opened(self.file) as (container, stream):
                index = _listed(container, stream)
                if index is not None:
                    self._require_all_frames(container, stream, index)
            if index is None:
                index = frame_index.load(self.file)
            if index is not None:
                frame_index.remember(self.file, index)
            return index

    def _require_all_frames(self, container: InputContainer, stream: VideoStream, index: FrameIndex) -> None:
        written = _checksums_in(container, stream)
        if written is not None:
            written.require_shape(self.file.name, len(index), written.size)

    def _read_by_index(self, indices: Sequence[int]) -> list[npt.NDArray[np.uint8]] | None:
        """Decode from a keyframe before the first index; None where that is not exact or not worthwhile."""
        index = self._known_index()
        if index is None:
            return None
        check_indices(self.file.name, indices, len(index))
        if index.checksums is None:
            with suppress(BadClip):  # of an open group of pictures: its start refers to what was not decoded
                return self._read_listed(indices, index)
            return None
        for start in index.starts(indices[0])[:TRIES]:
            if start >= WORTH_SEEKING and (frames := self._read_checked(indices, index, start)):
                return frames
        return None

    def _read_listed(self, indices: Sequence[int], index: FrameIndex) -> list[npt.NDArray[np.uint8]] | None:
        """Decode from the keyframe before the first index, where packets are frames.

        Frames are recognised by their time stamps, so a seek that lands in the wrong place is noticed.
        """
        keyframe = index.starts(indices[0])[0]
        if keyframe < WORTH_SEEKING:
            return None
        from av.video.frame import PictureType

        position = index.positions()
        wanted = set(indices)
        frames = {}
        complete = False
        with _opened(self.file) as (container, stream):
            to_rgb = _RgbConverter(self.file.name, container, stream)
            if stream.codec_context.pix_fmt == PALETTE:  # which may come with the first packet only
                return None
            shown_from = int(index.stamps[keyframe])
            container.seek(shown_from, stream=stream)
            for frame in _decoded(self.file.name, container, stream, shown_from):
                at = position.get(frame.pts) if frame.pts is not None else None
                # Streams with intra refresh mark frames as keyframes that depend on earlier ones.
                complete |= at is not None and at <= keyframe and frame.pict_type == PictureType.I
                if at is not None and at in wanted:
                    frames[at] = to_rgb(frame, at)
                if at is not None and at >= indices[-1]:
                    break
        return [frames[at] for at in indices] if complete and len(frames) == len(wanted) else None

    def _read_checked(
        self, indices: Sequence[int], index: FrameIndex, start: int
    ) -> list[npt.NDArray[np.uint8]] | None:
        """Decode from a keyframe; None unless every frame has the checksum that it had in a whole read.

        Errors do not matter here: the whole read had none, and what is decoded before the frames that are
        wanted may refer to others that are not there.
        """
        import av

        assert index.checksums is not None
        position = index.positions()
        wanted = set(indices)
        frames: dict[int, npt.NDArray[np.uint8]] = {}
        at: int | None = None
        with _opened(self.file) as (container, stream), suppress(av.FFmpegError):
            to_rgb = _RgbConverter(self.file.name, container, stream)
            lead = LEAD if container.format.name in SEEKS_BY_DECODING_TIME else 0
            stamp = index.stamp_before(start - lead)
            if stamp is None:
                return None
            container.seek(stamp, stream=stream)
            decode = decoder_of(stream)
            for frame in itertools.chain.from_iterable(map(decode, container.demux(stream))):
                following = None if at is None else at + 1
                at = following if frame.pts is None else position.get(frame.pts, following)
                if at is None:
                    continue
                if at > indices[-1] or (at > indices[0] and indices[0] not in frames):
                    return None
                if at in wanted:
                    if frame_index.checksum(frame) != index.checksums[at]:
                        return None
                    frames[at] = to_rgb(frame, at)
                    if len(frames) == len(wanted):
                        return [frames[at] for at in indices]
        return None


@contextmanager
def _opened(file: StoredFile) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the container and its first video stream.

    Raises:
        BadClip: the file is unreadable, of an unknown format, or without video (also inside the `with`
            block).
    """
    import av

    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    with bad_clip_on_error(file.name, av.FFmpegError), file.open() as data:
        if is_cut_off(data):
            raise BadClip(file.name, "cut off: shorter than its container says")
        # FFmpeg reads a local file itself; `file:` prevents it from taking a colon in the name for a
        # protocol.
        source: Any = f"file:{file.name}" if isinstance(file, LocalFile) else data
        # The encoding of titles and comments does not matter, because no pixel depends on them.
        with av.open(source, options=options, metadata_errors="replace") as container:
            stream = _first_video(file.name, container)
            if stream.codec_context is None:
                raise BadClip(file.name, "its video codec is unknown, or its header is damaged")
            check_frame_size(file.name, stream.codec_context.width, stream.codec_context.height)
            if stream.codec_context.color_trc in HDR:
                curve = HDR[stream.codec_context.color_trc]
                raise BadClip(file.name, f"HDR ({curve}), but scores are defined for SDR: tone-map it first")
            # Processes decode clips in parallel; threads within one short clip would only add overhead.
            stream.codec_context.thread_count = 1
            yield container, stream


def _first_video(name: str, container: InputContainer) -> VideoStream:
    """The first video stream that is not the cover image of an audio file."""
    from av.stream import Disposition

    found = [
        stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic
    ]
    if not found:
        raise BadClip(name, "has no video stream")
    return found[0]


def _stated_rate(stream: VideoStream) -> float | None:
    """Mean frame rate in the header; from `CLOCK_RATE` on, it is that of the container's clock."""
    if stream.container.format.name in UNTIMED:
        return None
    rate = float(stream.average_rate or 0)
    return rate if 0 < rate < CLOCK_RATE else None


def _listed(container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    """List the time stamps and keyframes of all frames in the order shown, without decoding them.

    Returns:
        None where packets and frames may differ: codecs with hidden frames, separately coded fields, edited
        or cut streams, missing or repeated time stamps, damaged packets. The frames must then be decoded.
    """
    if stream.codec_context.name not in ONE_PACKET_PER_FRAME:
        return None
    if not INDEXED_CONTAINERS.intersection(container.format.name.split(",")):
        return None
    if stream.codec_context.name == "h264" and stream.codec_context.field_order not in PROGRESSIVE:
        return None
    times: list[tuple[int, bool]] = []
    for packet in container.demux(stream):
        if packet.size == 0 and packet.pts is None:
            continue  # PyAV's end-of-stream packet
        if packet.size == 0 or packet.pts is None or packet.is_corrupt or packet.is_discard:
            return None
        if (not times and not packet.is_keyframe) or len(times) == limits.MAX_FRAMES:
            return None
        if not times and stream.codec_context.name == "h264":
            whole_at_start = has_idr_slice(bytes(packet), stream.codec_context.extradata)
            if not whole_at_start:
                return None
        times.append((packet.pts, packet.is_keyframe))
    if not times or len(times) < stream.frames:  # the latter: the file ends before what its index lists
        return None
    first = times[0][0]
    times.sort()
    if times[0][0] != first or len({time for time, _ in times}) != len(times):
        return None
    stamps, keys = zip(*times, strict=True)
    return FrameIndex(np.array(stamps, dtype=np.int64), np.array(keys, dtype=np.bool_))


PROGRESSIVE = (0, 1)
"""FFmpeg's AVFieldOrder: unknown, progressive."""


def _decoded(
    name: str, container: InputContainer, stream: VideoStream, shown_from: int | None = None
) -> Iterator[VideoFrame]:
    began = time.monotonic()
    for position, frame in enumerate(decoded_frames(name, container, stream, shown_from)):
        check_frame_count(name, position + 1)
        check_time(name, began)
        early = shown_from is not None and frame.pts is not None and frame.pts < shown_from
        if frame.is_corrupt and not early:
            raise BadClip(name, f"frame {position} is damaged")
        check_frame_size(name, frame.width, frame.height)
        yield frame


def _checksums_in(container: InputContainer, stream: VideoStream) -> PixelChecksums | None:
    """Return the checksums of a video that was not resized since; FFmpeg then keeps the comment."""
    context = stream.codec_context
    comment = container.metadata.get("comment") or container.metadata.get("COMMENT")
    written = PixelChecksums.parse(context.name, comment)
    return written if written is not None and written.size == (context.width, context.height) else None


class _RgbConverter:
    """Converts frames of any format to upright uint8 [H, W, 3], as the ffmpeg program does.

    Interlaced frames have the colours of their two fields upsampled apart, and transparent areas become
    black. One converter serves a whole clip, because setting up FFmpeg's scaler costs more than converting a
    small frame.
    """

    def __init__(self, name: str, container: InputContainer, stream: VideoStream) -> None:
        self._name = name
        self._scaler: Graph | None = None
        self._format: tuple[object, ...] = ()
        self._written = _checksums_in(container, stream)
        self._is_lossless = stream.codec_context.name in LOSSLESS

    def __call__(self, frame: VideoFrame, position: int) -> npt.NDArray[np.uint8]:
        """Convert a frame.

        Raises:
            BadClip: the file names a checksum for the frame at that position, and it is not the frame's.
        """
        transparent = any(component.is_alpha for component in frame.format.components)
        kind = (frame.format.name, frame.width, frame.height, frame.colorspace, frame.color_range)
        if self._scaler is None or kind != self._format:
            self._scaler, self._format = _scaler(frame, "rgba" if transparent else "rgb24"), kind
        self._scaler.vpush(frame)
        converted = self._scaler.vpull()
        pixels = cast(Frames, converted.to_ndarray())
        if transparent:
            pixels = flatten_alpha(pixels)
        if self._written is not None:
            value = of_pixels(pixels) if self._is_lossless else of_planes(frame)
            if value is not None:
                self._written.require(self._name, position, value)
        return upright(pixels, frame)


def _scaler(frame: VideoFrame, format_: str) -> Graph:
    """Return FFmpeg's scaler for frames like this one, with the settings that the ffmpeg program has.

    The program only leaves interlaced frames alone, and so mixes the colours of two fields.
    """
    from av.filter import Graph

    graph = Graph()
    graph.threads = 1
    unit = frame.time_base or Fraction(1, 25)
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=unit)
    graph.link_nodes(
        source, graph.add("scale", "interl=-1"), graph.add("format", format_), graph.add("buffersink")
    )
    graph.configure()
    return graph
