"""What an audit found: values that can be read from and written as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from vgbench.errors import VgbenchError
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score

SCHEMA = 1

Kind = Literal["spatial", "temporal", "set"]
"""What a distortion damages: single frames, the order and timing of frames, or the choice of clips."""
Verdict = Literal["same", "worse", "better", "unknown"]


@dataclass(frozen=True)
class Point:
    """One metric at one strength of one distortion.

    Attributes:
        strength: strength of the damage; 0 is the undamaged half.
        score: of the damaged half against the reference half.
        badness: the score in the metric's unit, oriented so that lower is better; see `direction.badness`.
        difference: the score minus that at strength 0, with its 95 % interval.
        verdict: "worse" or "better" if that interval excludes 0; "unknown" if there is none.
        reaction: change of badness from strength 0, in standard errors of `difference`; None if there is
            none.
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
        points: in order of increasing strength; the first is strength 0.
        monotone: whether badness never falls as the strength rises.
        rank_correlation: Spearman's ρ of strength and badness, including strength 0; None if badness is
            constant or not finite.
        detects_from: smallest strength that is significantly worse than strength 0 (95 %); None if none is.
        rewards_from: smallest strength that is significantly *better*; None if none is.
        sensitivity: mean `Point.reaction` over the strengths above 0; None if none is known.
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
        baseline: score of the undamaged half (strength 0).
        reactions: one for each distortion.
        content_sensitivity: mean `Reaction.sensitivity` over spatial distortions, in standard errors.
        motion_sensitivity: the same over temporal distortions.
        motion_share: motion / (content + motion), where negative sensitivities count as 0: a metric with 0
            reacts to frames only, one with 1 to motion only. None if one of both is unknown, or if neither
            reaches one standard error.
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
        """Distortions that are neither detected nor rewarded at any strength."""
        return tuple(
            r.distortion for r in self.reactions if r.detects_from is None and r.rewards_from is None
        )

    @property
    def rewards(self) -> tuple[str, ...]:
        """Distortions of which some strength is significantly better than no damage."""
        return tuple(r.distortion for r in self.reactions if r.rewards_from is not None)


@dataclass(frozen=True)
class Omitted:
    """A damaged half that `metric` could not score, or that no metric could if it is "", with the reason."""

    distortion: str
    strength: float
    reason: str
    metric: str = ""

    def __str__(self) -> str:
        who = f"{self.metric}, " if self.metric else ""
        return f"{who}{self.distortion} at {self.strength:g}: {self.reason}"


@dataclass(frozen=True)
class NotAudited:
    """A metric that these clips or this extractor do not allow, with the reason."""

    metric: str
    reason: str


@dataclass(frozen=True)
class AuditResult:
    """An audit of some metrics on one set of real clips.

    Attributes:
        source: the real clips, as the user named them.
        protocol: name of the protocol.
        signature: signature of the scores at strength 0; all others differ from it only in the damage.
        extractor: id of the network; None if no metric needs one.
        reference, other: (windows, source clips) of the reference half and of the half that is damaged.
        strengths: the requested strengths, increasing, without 0.
        metrics: one for each score.
        not_audited: requested metrics that cannot be computed from these clips or with this extractor.
        omitted: what could not be scored.
        warnings: (warning code, sentence) pairs about what weakens the result.
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
        """Return the result as indented JSON with a trailing newline, without the `deviations` of scores."""
        return json.dumps({"schema": SCHEMA, **_plain(asdict(self))}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "audit") -> AuditResult:
        """Read what `to_json` wrote.

        Args:
            text: JSON.
            where: name of the file, for messages.

        Raises:
            VgbenchError: not JSON, not an audit, or of a schema that this version does not read.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise VgbenchError(f"{where}: not valid JSON ({error})", "audit again") from error
        if not isinstance(values, dict) or values.pop("schema", None) != SCHEMA:
            raise VgbenchError(
                f"{where}: not an audit of schema {SCHEMA}", "audits are written by `vgbench audit`"
            )
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise VgbenchError(f"{where}: damaged audit: '{key}': {first['msg']}") from error


def _plain(node: Any) -> Any:
    """Drop the jackknife's deviations, which only further tests need and which make up most of the bytes."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key != "deviations"}
    return [_plain(value) for value in node] if isinstance(node, list | tuple) else node
