"""What an audit found: values, no behaviour beyond reading and writing them as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from vgbench.errors import VgbenchError
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score
from vgbench.storage import atomic

SCHEMA = 1

Kind = Literal["spatial", "temporal", "set"]
"""What a distortion damages: single frames, the order and timing of frames, or the choice of clips."""
Verdict = Literal["same", "worse", "better", "unknown"]


@dataclass(frozen=True)
class Point:
    """One metric on one damaged half.

    Attributes:
        strength: of the damage; 0 is real against real.
        score: against the reference half.
        badness: the score in the metric's unit, turned so that more is worse; see `reaction.badness`.
        difference: the score less that at strength 0, with its 95 % interval.
        verdict: "worse" or "better" where that interval leaves out 0; "unknown" without an interval.
        reaction: change of badness from strength 0, in standard errors of `difference`; None without one.
    """

    strength: float
    score: Score
    badness: float
    difference: Score
    verdict: Verdict
    reaction: float | None


@dataclass(frozen=True)
class Reaction:
    """How one metric reacts to one distortion.

    Attributes:
        distortion: its name.
        kind: what it damages.
        points: by rising strength; the first is strength 0.
        monotone: badness never falls as the strength rises.
        rank_correlation: Spearman's ρ of strength and badness, strength 0 included; None where badness is
            constant.
        detects_from: smallest strength that is told from real, as worse, at 95 %; None if none is.
        rewards_from: smallest strength that is told from real as *better*; None if none is.
        sensitivity: mean `Point.reaction` over the strengths above 0; None where none is known.
    """

    distortion: str
    kind: Kind
    points: tuple[Point, ...]
    monotone: bool
    rank_correlation: float | None
    detects_from: float | None
    rewards_from: float | None
    sensitivity: float | None


@dataclass(frozen=True)
class MetricAudit:
    """One score on all distortions.

    Attributes:
        metric: name of the score.
        title: as tables print it.
        better: its direction.
        baseline: real against real, strength 0.
        reactions: one for each distortion.
        content_sensitivity: mean `Reaction.sensitivity` over spatial distortions, in standard errors.
        motion_sensitivity: the same over temporal distortions.
        motion_share: motion / (content + motion), negative sensitivities counted as 0; 0 looks at frames
            only, 1 at motion only. None where one is unknown, or neither reaches one standard error.
    """

    metric: str
    title: str
    better: Better
    baseline: Score
    reactions: tuple[Reaction, ...]
    content_sensitivity: float | None
    motion_sensitivity: float | None
    motion_share: float | None

    @property
    def blind_to(self) -> tuple[str, ...]:
        """Distortions never told from real as worse, and not rewarded either."""
        return tuple(
            r.distortion for r in self.reactions if r.detects_from is None and r.rewards_from is None
        )

    @property
    def rewards(self) -> tuple[str, ...]:
        """Distortions that some strength of is told from real as better."""
        return tuple(r.distortion for r in self.reactions if r.rewards_from is not None)


@dataclass(frozen=True)
class Omitted:
    """A damaged half that could not be scored, and why; by one metric, or by any where `metric` is ""."""

    distortion: str
    strength: float
    reason: str
    metric: str = ""

    def __str__(self) -> str:
        who = f"{self.metric}, " if self.metric else ""
        return f"{who}{self.distortion} at {self.strength:g}: {self.reason}"


@dataclass(frozen=True)
class NotAudited:
    """A metric that these clips, or this extractor, do not allow, and why."""

    metric: str
    reason: str


@dataclass(frozen=True)
class AuditResult:
    """An audit of some metrics on one set of real clips.

    Attributes:
        source: the real clips, as the user named them.
        protocol: name of the protocol.
        signature: of the scores at strength 0; all others differ from it in the damage only.
        extractor: id of the network, or None where no metric needs one.
        reference, other: (windows, source clips) of the half that plays the real set and of the damaged one.
        strengths: as asked for, rising, without 0.
        metrics: one for each score.
        not_audited: metrics that were asked for and could not be made of these clips or this extractor.
        omitted: what could not be scored.
        warnings: (code, sentence) pairs about what weakens the result.
        environment: versions, platform, threads.
        created: ISO 8601, UTC.
    """

    source: str
    protocol: str
    signature: str
    extractor: str | None
    reference: tuple[int, int]
    other: tuple[int, int]
    strengths: tuple[float, ...]
    metrics: tuple[MetricAudit, ...]
    omitted: tuple[Omitted, ...]
    warnings: tuple[tuple[str, str], ...]
    environment: dict[str, str]
    created: str
    not_audited: tuple[NotAudited, ...] = ()

    def to_json(self) -> str:
        """Return the result as indented JSON with a trailing newline; `deviations` of scores are left out."""
        return json.dumps({"schema": SCHEMA, **_plain(asdict(self))}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "audit") -> AuditResult:
        """Read what `to_json` wrote.

        Args:
            text: JSON.
            where: the file's name, for the message.

        Raises:
            VgbenchError: not JSON, not an audit, or of a schema that this version does not read.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise VgbenchError(f"{where}: not valid JSON ({error})", "audit again") from error
        if not isinstance(values, dict) or values.pop("schema", None) != SCHEMA:
            raise VgbenchError(f"{where}: not an audit of schema {SCHEMA}", "written by `vgbench audit`")
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise VgbenchError(f"{where}: damaged audit: '{key}': {first['msg']}") from error


def write_audit(result: AuditResult, folder: str | Path) -> list[Path]:
    """Write `audit.json` and `audit.html`, each whole or not at all; return their paths.

    Raises:
        VgbenchError: the folder cannot be written to.
    """
    from vgbench.audit.page import render_html

    texts = {"audit.json": result.to_json(), "audit.html": render_html(result)}
    paths = []
    for name, text in texts.items():
        path = Path(folder) / name
        try:
            atomic.write_text(path, text)
        except OSError as error:
            raise VgbenchError(
                f"{path}: cannot be written ({error.strerror})", "free space there, or choose another folder"
            ) from error
        paths.append(path)
    return paths


def _plain(node: Any) -> Any:
    """Drop the jackknife's deviations: only further tests need them, and they are most of the bytes."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key != "deviations"}
    return [_plain(value) for value in node] if isinstance(node, list | tuple) else node
