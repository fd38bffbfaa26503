"""The user's settings for the package index: those of pip (files and environment) and of uv (environment)."""

from __future__ import annotations

import configparser
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from vgbench.errors import ConfigError


@dataclass(frozen=True)
class IndexSettings:
    """Where packages are looked for, and how the network is reached.

    Attributes:
        indexes: addresses that replace the library's default index; empty where the user has set none.
        extra_indexes: addresses that are searched as well.
        find_links: folders and pages that list archives.
        no_index: search `find_links` only.
        trusted_hosts: hosts that are reached without a check of their certificate.
        certificates: file of certificate authorities; None for those of the system.
        proxy: address; None for what the environment says.
    """

    indexes: tuple[str, ...] = ()
    extra_indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    certificates: str | None = None
    proxy: str | None = None


def index_settings() -> IndexSettings:
    """Read what the user has set for pip and for uv; where both name a place, both are searched.

    Of pip's settings those count that `pip download` obeys: its sections [global] and [download], then
    `PIP_*` in the environment. uv.toml is not read.

    Raises:
        ConfigError: a configuration file of pip that cannot be parsed.
    """
    pip, uv = _pip(), {name: os.environ.get(f"UV_{name}", "") for name in _UV}
    return IndexSettings(
        indexes=_addresses(pip.get("index-url", ""), uv["DEFAULT_INDEX"], uv["INDEX_URL"]),
        extra_indexes=_addresses(pip.get("extra-index-url", ""), uv["INDEX"], uv["EXTRA_INDEX_URL"]),
        find_links=tuple(
            str(Path(place).expanduser()) if place.startswith("~") else place
            for place in [*pip.get("find-links", "").split(), *uv["FIND_LINKS"].replace(",", " ").split()]
        ),
        no_index=pip.get("no-index", "").lower() in ("y", "yes", "t", "true", "on", "1"),
        trusted_hosts=tuple(f"{pip.get('trusted-host', '')} {uv['INSECURE_HOST']}".split()),
        certificates=pip.get("cert") or os.environ.get("REQUESTS_CA_BUNDLE") or None,
        proxy=pip.get("proxy"),
    )


_UV = ("DEFAULT_INDEX", "INDEX_URL", "INDEX", "EXTRA_INDEX_URL", "FIND_LINKS", "INSECURE_HOST")


def _addresses(*texts: str) -> tuple[str, ...]:
    """Split lists of addresses; uv allows a name before each ("internal=https://…")."""
    found = [re.sub(r"^[\w.-]+=", "", word) for text in texts for word in text.split()]
    return tuple(dict.fromkeys(found))


def _pip() -> dict[str, str]:
    """Pip's settings by the long name of their option; without those that are empty."""
    parser = configparser.RawConfigParser()
    parser.optionxform = _option_name  # type: ignore[assignment,method-assign]
    try:
        parser.read(_pip_files(), encoding="utf-8")  # a later file overrides an earlier one
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(
            f"pip's configuration cannot be read ({error})", "see `pip config debug`"
        ) from error
    settings: dict[str, str] = {}
    for section in ("global", "download"):
        if parser.has_section(section):
            settings |= {name: value for name, value in parser.items(section) if value}
    prefix = "PIP_"
    in_environment = {
        _option_name(name.removeprefix(prefix)): value
        for name, value in os.environ.items()
        if name.startswith(prefix) and value
    }
    return settings | in_environment


def _pip_files() -> list[Path]:
    """Where pip looks for its configuration on Linux and macOS, in ascending order of precedence."""
    chosen = os.environ.get("PIP_CONFIG_FILE", "")
    if chosen == os.devnull:
        return []
    home, mac = Path.home(), "Library/Application Support/pip"
    shared = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    own = os.environ.get("XDG_CONFIG_HOME") or home / ".config"
    machine = [Path("/") / mac, *(Path(folder) / "pip" for folder in shared.split(os.pathsep)), Path("/etc")]
    user = [home / ".pip", Path(own) / "pip", home / mac]
    if chosen and Path(chosen).exists():  # it is read in place of these
        user = []
    files = [folder / "pip.conf" for folder in (*machine, *user, Path(sys.prefix))]
    return [*files, Path(chosen)] if chosen else files


def _option_name(text: str) -> str:
    return text.lower().replace("_", "-").removeprefix("--")
