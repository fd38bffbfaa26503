"""Errors that FFmpeg only logs while it decodes: it conceals damage, and goes on with made-up pixels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vgbench.errors import BadClip

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream


def decoded_frames(
    name: str, container: InputContainer, stream: VideoStream, shown_from: int | None = None
) -> Iterator[VideoFrame]:
    """Decode a stream from where the container stands, in the order in which frames are shown.

    Args:
        name: of the clip.
        container: to read from.
        stream: to decode.
        shown_from: time stamp of the keyframe that a seek aimed at. Packets that are shown before it may
            refer to others that are not there.

    Raises:
        BadClip: a packet is damaged, or FFmpeg reports an error in one that is shown. Packets before the
            first keyframe, and those that an edit list cuts away, may refer to others that are not there.
    """
    begun = False
    position = 0
    decode = decoder_of(stream)
    for packet in container.demux(stream):
        begun |= packet.is_keyframe
        with _logged_errors() as errors:
            frames = decode(packet)
        early = shown_from is not None and packet.pts is not None and packet.pts < shown_from
        if begun and not packet.is_discard and not early and (errors or packet.is_corrupt):
            reason = errors[0] if errors else "a packet is marked as corrupt"
            raise BadClip(name, f"damaged near frame {position} ({reason})")
        for frame in frames:
            yield frame
            position += 1


def decoder_of(stream: VideoStream) -> Callable[[Packet[VideoStream]], list[VideoFrame]]:
    """Return a function that decodes packets.

    FFmpeg's own decoders of VP8 and VP9 ignore transparency; libvpx decodes it.
    """
    from av import CodecContext
    from av.video.codeccontext import VideoCodecContext

    library = ALPHA_DECODERS.get(stream.codec_context.name)
    if library is None or stream.metadata.get("alpha_mode") != "1":
        return lambda packet: packet.decode()
    context = CodecContext.create(library, "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    return lambda packet: context.decode(packet if packet.size else None)


ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's name of a codec -> name of the decoder that knows its transparency."""


_lock = threading.Lock()
_listening = 0
_before: tuple[int | None, bool] = (None, True)


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """Collect the texts of errors in this thread, complete at the end of the `with` block.

    FFmpeg's level of logging is that of the whole process, so it is restored when the last thread is done.
    """
    from av import logging

    global _listening, _before
    with _lock:
        if _listening == 0:
            _before = logging.get_level(), logging.get_skip_repeated()
            logging.set_level(logging.ERROR)
            logging.set_skip_repeated(False)
        _listening += 1
    texts: list[str] = []
    try:
        with logging.Capture(local=True) as logs:
            yield texts
        texts += [text.strip() for severity, _, text in logs if severity <= logging.ERROR]
    finally:
        with _lock:
            _listening -= 1
            if _listening == 0:
                logging.set_level(_before[0])
                logging.set_skip_repeated(_before[1])
