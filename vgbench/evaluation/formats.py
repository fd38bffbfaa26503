"""Warns if the clips of the two sides differ in speed, shape or size, which scores mistake for quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from vgbench.evaluation.measured import SIDES, Measured, Side, UsedWindow
from vgbench.protocol import Protocol
from vgbench.protocol.pixels import Resize
from vgbench.records.sample_card import SampleCard

ALIKE = 1.1
"""Median rates and aspect ratios within this factor count as equal, such as 24 and 25 frames per second."""
SHARP = 1.25
"""Median sizes within this factor count as equal."""


def of_sides(
    protocol: Protocol, measured: Mapping[Side, Measured], card: SampleCard | None
) -> Iterator[tuple[str, str]]:
    """Warn of sides that differ in frame rate, aspect ratio or size, as (warning code, sentence).

    Args:
        protocol: how windows were cut and resized.
        measured: both sides.
        card: says how the generated clips were made, if that is known.
    """
    windows = {side: measured[side].windows for side in SIDES}
    if protocol.windows.fps is None:
        yield from _of_rates(protocol, windows, card)
    else:
        yield from _of_repetition(protocol.windows.fps, windows)
    policy, trained_at = protocol.resize, card.trained_size if card else None
    yield from of_shapes(policy, windows["generated"], windows["real"])
    yield from _of_sizes(policy, windows, trained_at)


def of_rates(
    generated: Sequence[UsedWindow], real: Sequence[UsedWindow], factor: float = 1.0
) -> Iterator[tuple[str, str]]:
    """Warn if the median rates of two sides differ.

    Args:
        generated: windows of one side.
        real: windows of the other side.
        factor: frames that the other side skips for each frame that this side skips.
    """
    ours, theirs = _median_rate(generated), _median_rate(real)
    if ours and theirs and _differ(ours, theirs / factor, ALIKE):
        at = f" ({theirs / factor:.4g} with its stride)" if factor != 1 else ""
        yield "frame-rates", f"generated {ours:.4g} frames per second, real {theirs:.4g}{at}"


def _of_rates(
    protocol: Protocol, windows: Mapping[Side, Sequence[UsedWindow]], card: SampleCard | None
) -> Iterator[tuple[str, str]]:
    factor = protocol.windows_for("real").stride / protocol.windows.stride
    for code, sentence in of_rates(windows["generated"], windows["real"], factor):
        yield (
            code,
            f"{sentence}: equally many frames last unequally long; if the clips state the right rates, "
            f"--set windows.fps={_lower_rate(windows):.4g} takes the frames of both sides by time",
        )
    trained_with = card.trained_stride if card else None
    rates_are_known = all(_median_rate(windows[side]) for side in SIDES)
    if (
        trained_with
        and not rates_are_known
        and protocol.windows.real_stride is None
        and trained_with != factor
    ):
        yield (
            "training-stride",
            f"the model was trained with stride {trained_with}, and real clips are taken with {factor:g}; "
            f"--set windows.real_stride={trained_with * protocol.windows.stride} compares equal speeds",
        )


def _of_repetition(fps: float, windows: Mapping[Side, Sequence[UsedWindow]]) -> Iterator[tuple[str, str]]:
    for side in reversed(SIDES):
        frames = (used.window.frames for used in windows[side])
        repeated = sum(len(set(one)) < len(one) for one in frames)
        if repeated:
            yield (
                "repeated-frames",
                f"{side}: frames occur more than once in {repeated} of {len(windows[side])} windows, because "
                f"windows.fps = {fps:g} is more than the rate of their clips",
            )


def of_shapes(
    policy: Resize, generated: Sequence[UsedWindow], real: Sequence[UsedWindow]
) -> Iterator[tuple[str, str]]:
    """Warn if the median aspect ratios of two sides differ, unless `policy.first` has made them equal."""
    ours, theirs = _sizes(policy, "generated", generated), _sizes(policy, "real", real)
    if not ours or not theirs:
        return
    our_ratio, their_ratio = (median(width / height for height, width in side) for side in (ours, theirs))
    if _differ(our_ratio, their_ratio, ALIKE):
        yield (
            "aspect-ratios",
            f"generated frames are {_shown(ours)} pixels, real ones {_shown(theirs)}: after the protocol's "
            "resizing they show different parts of a scene, or are squeezed differently",
        )


def _of_sizes(
    policy: Resize, windows: Mapping[Side, Sequence[UsedWindow]], trained_at: int | None
) -> Iterator[tuple[str, str]]:
    """Warn if the frames of one side hold clearly more detail than those of the other."""
    ours, theirs = (_sizes(policy, side, windows[side]) for side in reversed(SIDES))
    if not ours or not theirs:
        return
    most = policy.size if policy.fit != "keep" else max(map(max, ours + theirs))
    our_detail, their_detail = (median(min(*size, most) for size in side) for side in (ours, theirs))
    if _differ(our_detail, their_detail, SHARP):
        size = trained_at or round(min(our_detail, their_detail))
        yield (
            "native-sizes",
            f"generated frames are {_shown(ours)} pixels, real ones {_shown(theirs)}, so one side is less "
            f"sharp whatever it shows; --set resize.first.size={size} brings both to that size first",
        )


def _sizes(policy: Resize, side: Side, windows: Sequence[UsedWindow]) -> list[tuple[int, int]]:
    """Height and width of the frames of each window whose size is known, after `policy.first`."""
    sizes = [used.size for used in windows if used.size is not None]
    first = policy.for_side(side).first
    return sizes if first is None or first.fit == "keep" else [(first.size, first.size)] * len(sizes)


def _shown(sizes: Sequence[tuple[int, int]]) -> str:
    """Width × height of the middle one of several sizes."""
    height, width = sorted(sizes)[len(sizes) // 2]
    return f"{width} × {height}"


def _lower_rate(windows: Mapping[Side, Sequence[UsedWindow]]) -> float:
    """Return the lower one of the median rates of both sides, at which no frame is repeated."""
    return min(rate for side in SIDES if (rate := _median_rate(windows[side])))


def _median_rate(windows: Sequence[UsedWindow]) -> float | None:
    """Median frame rate; None unless most windows have a known one."""
    rates = [used.rate for used in windows if used.rate]
    return median(rates) if 2 * len(rates) > len(windows) else None


def _differ(x: float, y: float, factor: float) -> bool:
    return max(x, y) > factor * min(x, y)
