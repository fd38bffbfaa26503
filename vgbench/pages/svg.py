"""Plots to embed in a page: matplotlib draws them as SVG, and the page's style sheet colours them.

Everything is drawn in black and written as `currentColor`. A `gid` that begins with a full stop names the
classes of an artist's SVG group, and the part after a colon is its tooltip: `axes.plot(x, y,
gid=".line.real")` is coloured by `.plot .real { color: … }`, so the light and the dark page share one
drawing.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from vgbench.pages.numbers import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a name with two dollar signs is not a formula
    "font.size": 11,
    "axes.axisbelow": True,
    "axes.prop_cycle": "cycler('color', ['k'])",
    "grid.color": "k",
    "grid.linewidth": 1,
    "lines.linewidth": 1.8,
    "lines.markeredgewidth": 0,
    "lines.solid_capstyle": "butt",
    "patch.facecolor": "k",
    "patch.linewidth": 0,
    "xtick.bottom": False,
    "ytick.left": False,
    **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
}

_DROPPED = ("font-family", "font-size", "stroke-dashoffset", "clip-path")
_UPRIGHT = re.compile(r"rotate\(-?0 ")
_DECIMALS = re.compile(r"-?\d+\.\d+")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def svg(
    draw: Callable[[Axes], object],
    size: tuple[int, int],
    margins: tuple[int, int, int, int],
    name: str,
    label: str,
) -> str:
    """Draw on the axes of an empty figure and return one `<svg>` element for an HTML page.

    Equal drawings and arguments give equal text. No attribute is named `style`, so the page can have a
    content security policy without inline styles.

    Args:
        draw: draws on the axes, within their limits, because nothing is clipped. Any text stays text.
        size: width and height in CSS pixels.
        margins: left, right, top and bottom margin of the axes, in CSS pixels.
        name: unique in the page; it distinguishes the ids of markers from those of other drawings.
        label: what a screen reader says instead of the drawing.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    (width, height), (left, right, top, bottom) = size, margins
    stream = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # The browser has fonts of its own, so it does not matter if ours lacks a letter.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, frameon=False)
        axes = figure.add_axes(
            (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height),
            frameon=False,
        )
        axes.grid(axis="y", gid=".grid")
        draw(axes)
        figure.savefig(stream, format="svg", metadata={"Date": None})
    (drawn,) = _tidy(fromstring(xml_text(stream.getvalue())))  # noqa: S314
    root = Element(
        "svg",
        {
            "class": "plot",
            "width": str(width),
            "height": str(height),
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
            "aria-label": label,
            "fill": "currentColor",
            "font-size": str(STYLE["font.size"]),
            "stroke-linejoin": "round",
        },
    )
    root.extend(drawn)
    return tostring(root, encoding="unicode")


def plain_label(text: str, length: int = 28) -> str:
    """Put a text on one line and cut it to a length."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def xml_text(text: str) -> str:
    """Replace the characters that XML 1.0 does not allow."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def few_ticks(axes: Axes, most: int = 4) -> None:
    """Put a few round numbers beside the value axis."""
    axes.locator_params(axis="y", nbins=most)
    axes.yaxis.set_major_formatter(tick)


def tick(value: float, _: float) -> str:
    """Write a number as an axis shows it."""
    return significant(value)


def _tidy(node: Element) -> Iterator[Element]:
    """Keep what a page needs: drop metadata and groups without a class, and turn styles into attributes."""
    tag = _local(node.tag)
    if tag in ("metadata", "style", "clipPath"):
        return
    attributes = {_local(key): value for key, value in node.items()}
    title = ""
    if tag == "g":
        classes, _, title = attributes.pop("id", "").partition(":")
        if classes.startswith("."):
            attributes["class"] = classes[1:].replace(".", " ")
    for rule in filter(None, attributes.pop("style", "").split("; ")):
        key, _, value = rule.partition(": ")
        attributes[key] = value
    attributes = {key: _short(value) for key, value in attributes.items() if key not in _DROPPED}
    if _UPRIGHT.match(attributes.get("transform", "")):
        del attributes["transform"]
    children = [kept for child in node for kept in _tidy(child)]
    if (tag == "g" and not attributes) or (tag in ("g", "defs") and not children):
        yield from children
        return
    tidied = Element(tag, attributes)
    tidied.text = node.text if tag in ("text", "tspan") else None
    if title:
        SubElement(tidied, "title").text = title
    tidied.extend(children)
    yield tidied


def _local(name: str) -> str:
    """A name without its namespace, which HTML does not need."""
    return name.rpartition("}")[2]


def _short(value: str) -> str:
    """Round to four digits, which is a tenth of a pixel or less, replace black, and drop line breaks."""
    value = _DECIMALS.sub(lambda number: f"{float(number[0]):.4g}", value)
    return " ".join(value.replace("#000000", "currentColor").split())
