"""What the packets of an H.264 stream hold (ITU-T H.264)."""

from __future__ import annotations

IDR_SLICE = 5
"""Type of the units of a picture on whose predecessors nothing depends (table 7-1)."""


def has_idr_slice(packet: bytes, extradata: bytes | None) -> bool:
    """Whether a packet of MP4 or Matroska holds an IDR picture.

    A stream that was cut elsewhere, such as within intra refresh, starts with frames that are never shown.

    Args:
        packet: units, each after its length.
        extradata: the decoder configuration record, which says how long the lengths are (ISO/IEC 14496-15,
            section 5.3.3). Packets with start codes instead of lengths give False.
    """
    if not extradata or len(extradata) < 5 or extradata[0] != 1:
        return False
    width = 1 + (extradata[4] & 3)
    position = 0
    while position + width < len(packet):
        length = int.from_bytes(packet[position : position + width], "big")
        if packet[position + width] & 31 == IDR_SLICE:
            return True
        position += width + length
    return False
