"""How a video asks to be shown: turned, mirrored or both (ISO/IEC 14496-12, section 6.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av import VideoFrame


def upright(pixels: npt.NDArray[np.uint8], frame: VideoFrame) -> npt.NDArray[np.uint8]:
    """Turn and mirror a decoded frame as a player does.

    The matrix [a b; c d] moves a pixel from (x, y) to (a x + c y, b x + d y). Other angles than quarter turns
    would need new pixels, so such frames are left as they are coded.

    Args:
        pixels: uint8 [H, W, 3], as coded.
        frame: with the matrix in its side data, if the file has one.

    Returns:
        uint8 [H, W, 3] or [W, H, 3].
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    a, b, _, c, d = np.sign(np.frombuffer(bytes(matrix), dtype=np.int32)[:5])  # type: ignore[call-overload]
    if (b, c) == (0, 0) and a and d:
        across, down = a, d
    elif (a, d) == (0, 0) and b and c:
        pixels = pixels.swapaxes(0, 1)
        across, down = c, b
    else:
        return pixels
    return np.ascontiguousarray(pixels[::down, ::across])
