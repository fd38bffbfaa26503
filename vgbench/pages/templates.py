"""HTML pages that stand alone: one file each, without network, where only the page's own script may run.

A package keeps the parts of its page in its own folder `templates`: `NAME.html`, `NAME.css` and, if the page
has a script, `NAME.js`. The template extends `vgbench.pages/base.html`, which all pages share.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

BASE = "vgbench.pages/base"


def render_page(package: str, name: str, **values: Any) -> str:
    """Render the page `name` of a package, with its style sheet and script inside.

    Every value is escaped unless the template says otherwise, and a value that the template misses is an
    error.

    Args:
        package: dotted name of the package whose folder `templates` has the page.
        name: name of the page, without a suffix.
        values: what the template shows.
    """
    style = _source(f"{BASE}.css") + _source(f"{package}/{name}.css")
    script = _source(f"{package}/{name}.js", optional=True)
    return (
        _environment()
        .get_template(f"{package}/{name}.html")
        .render(style=style, script=script, policy=_policy(style, script), **values)
    )


def _policy(style: str, script: str) -> str:
    """Content security policy that allows this style sheet, this script, and images inside the page."""
    allowed = {"img-src": "data:", "style-src": _hash(style)} | (
        {"script-src": _hash(script)} if script else {}
    )
    sources = {"default-src": "'none'", **allowed, "base-uri": "'none'", "form-action": "'none'"}
    return "; ".join(f"{kind} {source}" for kind, source in sources.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> jinja2.Environment:
    """The one template environment. A template is called `PACKAGE/FILE`."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _source(name: str, *, optional: bool = False) -> str:
    """Read `PACKAGE/FILE` from the package's folder `templates`; empty if an optional file does not exist."""
    package, _, file = name.partition("/")
    path = resources.files(package) / "templates" / file
    return "" if optional and not path.is_file() else path.read_text(encoding="utf-8")
