"""Transparency of VP8 and VP9, a second stream beside the packets that FFmpeg's own decoders ignore."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Codec -> the decoder of FFmpeg that decodes the second stream too."""


def alpha_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """Return a decoder that gives frames with alpha; None if the stream does not announce any.

    WebM announces it by the element AlphaMode, which FFmpeg shows as the tag `alpha_mode`.
    """
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    decoder = WITH_ALPHA.get(stream.codec_context.name)
    if decoder is None or tags.get("alpha_mode") != "1":
        return None
    from av.codec import Codec
    from av.codec.context import CodecContext
    from av.video.codeccontext import VideoCodecContext

    context = CodecContext.create(Codec(decoder, "r"))
    assert isinstance(context, VideoCodecContext)
    context.extradata = stream.codec_context.extradata
    context.thread_count = 1
    return context
