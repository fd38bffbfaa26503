"""Procedural clips for training the embedded extractor: scenes with known motion, and known damage.

A `Sample` is a clip with its ground truth. Nothing here comes from a camera: textures are noise, objects are
polygons, figures are sticks. Every sample is a function of (seed, index, frames).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vgbench.clips import moving_shapes

SIZE = 64
Image = npt.NDArray[np.float32]
Rng = np.random.Generator

FACTORS = (
    "log speed", "direction x", "direction y", "log turn", "turn", "log growth", "growth", "acceleration",
    "periodic", "frequency", "arrow", "objects", "object size", "camera speed", "camera x", "camera y",
    "zoom", "camera turn", "light", "deformation", "texture scale",
)  # fmt: skip
"""Regression targets, NaN where a clip has no such property. Signs follow the direction of time."""
SIGNED_BY_TIME = (
    "direction x", "direction y", "turn", "growth", "acceleration", "arrow", "camera x", "camera y", "zoom",
    "camera turn", "light",
)  # fmt: skip
FAMILIES = ("shapes", "sprites", "figure", "world", "fluid", "waves", "noise")
SPATIAL = ("none", "noise", "salt-and-pepper", "blur", "jpeg", "local swap", "low resolution", "contrast")
TEMPORAL = ("none", "freeze", "shuffle", "drop", "faster", "flicker", "shake", "local shuffle")


@dataclass
class Sample:
    """A clip with its labels.

    Attributes:
        frames: uint8 [T, 64, 64, 3].
        family: index into FAMILIES.
        factors: float32 [len(FACTORS)], NaN where unknown or undefined.
        shape: index into moving_shapes.CLASSES, or −1.
        spatial, temporal: indices into SPATIAL and TEMPORAL.
        strengths: float32 [2] in 0..1, of the spatial and the temporal damage.
    """

    frames: npt.NDArray[np.uint8]
    family: int
    factors: npt.NDArray[np.float32]
    shape: int = -1
    spatial: int = 0
    temporal: int = 0
    strengths: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(2, np.float32))


# ---------------------------------------------------------------------------------------------- looks


def colour(rng: Rng) -> Image:
    """Any colour from grey to pure, float32 [3] in 0..1; extremes are as likely as the middle."""
    pure = np.clip(rng.uniform(-0.2, 1.2, 3), 0, 1)
    return (pure.mean() + rng.uniform() * (pure - pure.mean())).astype(np.float32)


def noise_field(rng: Rng, size: int, coarse: float) -> Image:
    """Noise over several octaves, float32 [size, size] of mean 0 and deviation 1; `coarse` in 0..1."""
    total = np.zeros((size, size), np.float32)
    for octave in range(2, 7):
        cells = rng.standard_normal((2**octave, 2**octave)).astype(np.float32)
        weight = 2.0 ** (-octave * 2.2 * coarse)
        total += weight * cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / (total.std() + 1e-6)


def texture(rng: Rng, size: int) -> tuple[Image, float]:
    """A random texture, float32 [size, size, 3] in 0..1, and how coarse it is (NaN: plain)."""
    kind = rng.choice(5, p=(0.25, 0.12, 0.38, 0.15, 0.1))
    a, b, c = colour(rng), colour(rng), colour(rng)
    if kind == 0:  # one colour; often black or white, as much rendered data is
        plain = a if rng.uniform() < 0.5 else np.full(3, rng.choice((0.0, 0.0, 1.0, 0.5)), np.float32)
        return np.broadcast_to(plain, (size, size, 3)).copy(), np.nan
    grid = np.linspace(-1, 1, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * grid[None, :] + np.sin(angle) * grid[:, None]
    if kind == 1:  # gradient
        mix = 0.5 + 0.5 * along / 1.41
        return a + mix[..., None] * (b - a), 1.0
    coarse = rng.uniform(0, 1)
    if kind == 2:  # noise between colours, soft or cut into regions
        mix = noise_field(rng, size, coarse)
        mix = 1 / (1 + np.exp(-mix * rng.choice((1.0, 2.0, 12.0))))
        second = noise_field(rng, size, 1.0)[..., None]
        return np.clip(a + mix[..., None] * (b - a) + 0.15 * second * (c - a), 0, 1), coarse
    if kind == 3:  # stripes or checks
        across = -np.sin(angle) * grid[None, :] + np.cos(angle) * grid[:, None]
        count = 2 + 10 * (1 - coarse)
        wave = np.sin(np.pi * count * along)
        if rng.uniform() < 0.5:
            wave = wave * np.sin(np.pi * count * across)
        mix = np.clip(0.5 + wave * rng.choice((0.5, 4.0)), 0, 1)
        return a + mix[..., None] * (b - a), coarse
    image = np.empty((size, size, 3), np.float32)  # heap of blobs
    image[:] = a
    for _ in range(rng.integers(4, 25)):
        x, y = (int(v) for v in rng.uniform(0, size, 2))
        axes = tuple(int(v) for v in rng.uniform(2, 4 + size * 0.3 * coarse, 2))
        tint = tuple(float(v) for v in colour(rng))
        cv2.ellipse(image, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, tint, -1, cv2.LINE_AA)
    return image, coarse


def sprite(rng: Rng, size: int = 48) -> tuple[Image, Image]:
    """An object: colours [size, size, 3] and cover [size, size], float32; it fills the middle two thirds."""
    cover = np.zeros((size, size), np.float32)
    middle, radius = size / 2, size / 3
    if rng.uniform() < 0.25:
        axes = (int(radius), int(radius * rng.uniform(0.4, 1)))
        cv2.ellipse(cover, (size // 2, size // 2), axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    else:
        corners = int(rng.integers(3, 9))
        angles = (
            2 * np.pi * (np.arange(corners) + rng.uniform(-0.3, 0.3, corners) * rng.integers(0, 2)) / corners
        )
        radii = radius * (rng.uniform(0.4, 1, corners) if rng.uniform() < 0.5 else np.ones(corners))
        points = np.stack([middle + radii * np.cos(angles), middle + radii * np.sin(angles)], 1)
        cv2.fillPoly(cover, [np.round(points * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    if rng.uniform() < 0.5:
        look = np.broadcast_to(colour(rng), (size, size, 3)).astype(np.float32)
    else:
        look, _ = texture(rng, size)
    return look, cover


# --------------------------------------------------------------------------------------------- motion


@dataclass
class Path:
    """A track through T frames: place in pixels [T, 2], log scale [T], angle [T], and its labels."""

    place: npt.NDArray[np.float64]
    log_scale: npt.NDArray[np.float64]
    angle: npt.NDArray[np.float64]
    labels: dict[str, float]


def path(rng: Rng, frames: int) -> Path:
    t = np.arange(frames, dtype=float)
    heading = rng.uniform(0, 2 * np.pi)
    way = np.array((np.cos(heading), np.sin(heading)))
    speed = np.exp(rng.uniform(np.log(0.2), np.log(5)))  # pixels a frame
    frequency = rng.uniform(0.04, 0.25)
    phase = rng.uniform(0, 2 * np.pi)
    labels = {"periodic": 0.0, "arrow": np.nan, "acceleration": 0.0}
    kind = rng.choice(8, p=(0.1, 0.2, 0.12, 0.16, 0.14, 0.1, 0.06, 0.12))
    centre = rng.uniform(0.2, 0.8, 2) * SIZE
    if kind == 0:
        place = np.zeros((frames, 2))
    elif kind == 1:
        place = speed * (t - frames / 2)[:, None] * way
    elif kind == 2:  # speeds up or slows down
        ratio = np.exp(rng.choice((-1, 1)) * rng.uniform(0.8, 2.5))
        pace = speed * ratio ** (t / frames - 0.5)
        place = (np.cumsum(pace) - pace.sum() / 2)[:, None] * way
        labels["acceleration"] = float(np.log(ratio))
    elif kind == 3:  # there and back
        reach = min(speed / (2 * np.pi * frequency), 28)
        place = reach * np.sin(2 * np.pi * frequency * t + phase)[:, None] * way
    elif kind == 4:  # round and round
        reach = min(speed / (2 * np.pi * frequency), 26)
        angle = rng.choice((-1, 1)) * 2 * np.pi * frequency * t + phase
        place = reach * np.stack([np.cos(angle), np.sin(angle)], 1)
    elif kind == 5:  # falls and bounces, a little lower each time: never seen backwards
        place, centre = _bouncing(rng, frames), np.zeros(2)
        labels["arrow"] = 1.0
    elif kind == 6:  # wanders
        steps = cv2.GaussianBlur(rng.standard_normal((frames, 2)), (0, 0), sigmaX=0.01, sigmaY=1.5)
        place = np.cumsum(steps / (steps.std() + 1e-6) * speed, axis=0)
    else:  # a thrown arc
        g = rng.uniform(0.05, 0.4)
        s = t - rng.uniform(0.2, 0.8) * frames
        place = np.stack([speed * 0.5 * np.cos(heading) * s, 0.5 * g * s**2 - 10], 1)
    if kind in (3, 4):
        labels |= {"periodic": 1.0, "frequency": frequency * 8}
    labels |= _speed_labels(place)

    log_scale, growth = np.zeros(frames), 0.0
    roll = rng.uniform()
    if roll < 0.15:
        growth = rng.choice((-1, 1)) * rng.uniform(0.01, 0.09)
        log_scale = growth * (t - frames / 2)
    elif roll < 0.25:
        log_scale = rng.uniform(0.2, 0.6) * np.sin(2 * np.pi * frequency * t + phase)
        labels |= {"periodic": 1.0, "frequency": frequency * 8}
    labels |= {"growth": 20 * growth, "log growth": _log(np.abs(np.diff(log_scale)).mean(), 0.01)}

    angle, turn = np.full(frames, rng.uniform(0, 2 * np.pi)), 0.0
    roll = rng.uniform()
    if roll < 0.25:
        turn = rng.choice((-1, 1)) * np.exp(rng.uniform(np.log(0.03), np.log(0.6)))
        angle = angle + turn * t
    elif roll < 0.35:
        angle = angle + rng.uniform(0.2, 1) * np.sin(2 * np.pi * frequency * t + phase)
    labels |= {"turn": 3 * turn, "log turn": _log(np.abs(np.diff(angle)).mean(), 0.02)}
    return Path(centre + place, log_scale, angle, labels)


def _bouncing(rng: Rng, frames: int) -> npt.NDArray[np.float64]:
    floor, g, bounce = rng.uniform(0.7, 0.95) * SIZE, rng.uniform(0.3, 1.5), rng.uniform(0.55, 0.8)
    x, y = rng.uniform(0.1, 0.9) * SIZE, rng.uniform(0.0, 0.5) * SIZE
    vx, vy = rng.uniform(-2.5, 2.5), rng.uniform(-2, 2)
    place = np.empty((frames, 2))
    for frame in range(frames):
        place[frame] = x, y
        x, y, vy = x + vx, y + vy + g / 2, vy + g
        if y > floor:
            y, vy, vx = floor - (y - floor) * bounce, -abs(vy) * bounce, vx * 0.9
    return place


def _log(value: float, floor: float) -> float:
    return float(np.log(value + floor) - np.log(floor))


def _speed_labels(place: npt.NDArray[np.float64]) -> dict[str, float]:
    steps = np.diff(place, axis=0)
    mean = steps.mean(axis=0)
    return {
        "log speed": _log(np.hypot(*steps.T).mean(), 0.1),
        "direction x": float(np.sign(mean[0]) * np.log1p(abs(mean[0]) / 0.3)),
        "direction y": float(np.sign(mean[1]) * np.log1p(abs(mean[1]) / 0.3)),
    }


# ------------------------------------------------------------------------------------------- families


def _draw(
    frame: Image, look: Image, cover: Image, place: npt.NDArray[np.float64], scale: float, angle: float
) -> Image:
    half = look.shape[0] / 2
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array(
        [
            [cos, -sin, place[0] - cos * half + sin * half],
            [sin, cos, place[1] - sin * half - cos * half],
        ]
    )
    alpha = cv2.warpAffine(cover, matrix, (SIZE, SIZE))[..., None]
    paint = cv2.warpAffine(look, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    return frame + alpha * (paint - frame)


def _camera(rng: Rng, frames: int, chance: float) -> tuple[npt.NDArray[np.float64], dict[str, float]]:
    """Camera matrices [T, 2, 3] from a 128-pixel world to the frame, and labels; moves with that chance."""
    t = np.arange(frames) - (frames - 1) / 2
    x, y, zoom, turn = np.zeros(frames), np.zeros(frames), np.zeros(frames), np.zeros(frames)
    labels = {"camera x": 0.0, "camera y": 0.0, "zoom": 0.0, "camera turn": 0.0}
    if rng.uniform() < chance:
        kind = rng.choice(4, p=(0.5, 0.2, 0.15, 0.15))
        speed = np.exp(rng.uniform(np.log(0.1), np.log(2.5)))
        heading = rng.uniform(0, 2 * np.pi)
        if kind in (0, 3):
            x, y = speed * np.cos(heading) * t, speed * np.sin(heading) * t
        if kind in (1, 3):
            zoom = rng.choice((-1, 1)) * rng.uniform(0.005, 0.05) * t
        if kind == 2:
            turn = rng.choice((-1, 1)) * rng.uniform(0.01, 0.15) * t
        if rng.uniform() < 0.25:  # sways instead of going one way
            sway = np.sin(2 * np.pi * rng.uniform(0.05, 0.2) * t) * 5 / np.maximum(np.abs(t), 0.5)
            x, y, zoom, turn = x * sway, y * sway, zoom * sway, turn * sway
        else:
            steps = np.diff(np.stack([x, y], 1), axis=0).mean(0)
            labels = {
                "camera x": float(steps[0]),
                "camera y": float(steps[1]),
                "zoom": float(20 * np.diff(zoom).mean()),
                "camera turn": float(10 * np.diff(turn).mean()),
            }
    moved = np.hypot(np.diff(x), np.diff(y)).mean() + 20 * (
        np.abs(np.diff(zoom)).mean() + np.abs(np.diff(turn)).mean()
    )
    labels["camera speed"] = _log(float(moved), 0.1)
    cos, sin = np.exp(zoom) * np.cos(turn), np.exp(zoom) * np.sin(turn)
    world, middle = 64.0, SIZE / 2
    matrices = np.stack(
        [
            np.stack([cos, -sin, middle + x - cos * world + sin * world], -1),
            np.stack([sin, cos, middle + y - sin * world - cos * world], -1),
        ],
        axis=1,
    )
    return matrices, labels


def _scene(rng: Rng, frames: int, camera_chance: float) -> tuple[npt.NDArray[np.float32], dict[str, float]]:
    """A backdrop seen by a camera: float32 [T, 64, 64, 3] and labels."""
    world, coarse = texture(rng, 128)
    matrices, labels = _camera(rng, frames, camera_chance)
    if np.isnan(coarse):
        labels = {"camera speed": 0.0}
    else:
        labels["texture scale"] = coarse
    frame_of = lambda m: cv2.warpAffine(world, m, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)  # noqa: E731
    if labels["camera speed"] == 0.0:
        return np.repeat(frame_of(matrices[0])[None], frames, axis=0), labels
    return np.stack([frame_of(matrix) for matrix in matrices]), labels


def _sprites(rng: Rng, frames: int) -> tuple[npt.NDArray[np.float32], dict[str, float]]:
    clip, labels = _scene(rng, frames, camera_chance=0.25)
    count = int(rng.choice((1, 2, 3, 5), p=(0.55, 0.2, 0.15, 0.1)))
    paths = [path(rng, frames) for _ in range(count)]
    sizes = np.exp(rng.uniform(np.log(0.12), np.log(0.9), count))
    for track, size in zip(paths, sizes, strict=True):
        look, cover = sprite(rng)
        if size < 0.5:  # shrink well before the warp, which does not filter
            side = max(8, round(48 * size * 1.5))
            look, cover = (cv2.resize(v, (side, side), interpolation=cv2.INTER_AREA) for v in (look, cover))
        unit = 48 * size / look.shape[0]
        for frame in range(frames):
            scale = unit * float(np.exp(track.log_scale[frame]))
            clip[frame] = _draw(clip[frame], look, cover, track.place[frame], scale, track.angle[frame])
    labels |= {"objects": float(np.log(count)), "object size": float(np.log(sizes.mean()))}
    if count == 1:
        labels |= paths[0].labels
    else:
        labels["log speed"] = float(np.mean([p.labels["log speed"] for p in paths]))
    return clip, labels


def _figure(rng: Rng, frames: int) -> tuple[npt.NDArray[np.float32], dict[str, float]]:
    """Someone made of sticks waves, walks, bends or jumps."""
    clip, labels = _scene(rng, frames, camera_chance=0.15)
    t = np.arange(frames)
    frequency = rng.uniform(0.03, 0.15)
    cycle = 2 * np.pi * (frequency * t + rng.uniform())
    height = rng.uniform(0.45, 0.95) * SIZE
    thickness = height * rng.uniform(0.05, 0.13)
    cloth, skin, legs = colour(rng), colour(rng), colour(rng)
    walk = rng.choice((0.0, 1.0)) * rng.uniform(-1.5, 1.5)
    x = rng.uniform(0.35, 0.65) * SIZE + walk * (t - frames / 2)
    jump = rng.choice((0.0, 0.0, 1.0)) * rng.uniform(2, 8) * np.abs(np.sin(cycle / 2))
    foot = rng.uniform(0.9, 1.1) * SIZE - jump
    joints = {  # mean angle from straight down, and swing, of each joint
        name: (rng.uniform(low, high), rng.choice((0.0, 1.0)) * rng.uniform(0.2, 1.4), rng.choice((0, np.pi)))
        for name, low, high in (
            ("left arm", 0.2, 2.6),
            ("right arm", 0.2, 2.6),
            ("left elbow", 0.0, 0.8),
            ("right elbow", 0.0, 0.8),
            ("left leg", 0.0, 0.4),
            ("right leg", 0.0, 0.4),
            ("back", -0.2, 0.2),
        )
    }
    turn_at = {name: mean + swing * np.sin(cycle + late) * (0.6 if "leg" in name or name == "back" else 1)
               for name, (mean, swing, late) in joints.items()}  # fmt: skip
    moved = np.mean([np.abs(np.diff(angle)).mean() for angle in turn_at.values()])
    for frame in range(frames):
        look = np.zeros((2 * SIZE, 2 * SIZE, 4), np.float32)
        pose = {name: float(angle[frame]) for name, angle in turn_at.items()}
        _stick_person(look, (x[frame], foot[frame]), height, thickness, pose, (cloth, skin, legs))
        look = cv2.resize(look, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        clip[frame] = clip[frame] * (1 - look[..., 3:]) + look[..., :3]
    labels |= {
        "periodic": 1.0, "frequency": frequency * 8, "deformation": _log(float(moved), 0.02),
        "log speed": _log(abs(walk), 0.1), "direction x": float(np.sign(walk) * np.log1p(abs(walk) / 0.3)),
        "object size": float(np.log(height / 48)), "objects": 0.0,
    }  # fmt: skip
    return clip, labels


def _stick_person(
    canvas: Image,
    foot: tuple[float, float],
    height: float,
    thickness: float,
    pose: dict[str, float],
    colours: tuple[Image, Image, Image],
) -> None:
    cloth, skin, legs = ((*(float(v) for v in c), 1.0) for c in colours)
    point = np.array

    def limb(
        start: npt.NDArray[np.float64], length: float, angle: float, tint: tuple[float, ...], wide: float
    ) -> npt.NDArray[np.float64]:
        end = start + length * height * np.array((np.sin(angle), np.cos(angle)))
        a, b = (tuple(int(v) for v in np.round(p * 2 * 16)) for p in (start, end))
        cv2.line(canvas, a, b, tint, max(1, round(2 * thickness * wide)), cv2.LINE_AA, 4)
        return end

    hip = point((foot[0], foot[1] - 0.48 * height))
    for side, name in ((-1, "left"), (1, "right")):
        knee = limb(hip + point((side * 0.04 * height, 0)), 0.25, side * pose[f"{name} leg"], legs, 1.1)
        limb(knee, 0.25, side * pose[f"{name} leg"] * 0.4, legs, 1.0)
    neck = limb(hip, 0.34, np.pi + pose["back"], cloth, 2.2)
    for side, name in ((-1, "left"), (1, "right")):
        elbow = limb(neck + point((side * 0.07 * height, 0)), 0.2, side * pose[f"{name} arm"], cloth, 1.0)
        limb(elbow, 0.18, side * (pose[f"{name} arm"] + pose[f"{name} elbow"]), skin, 0.8)
    head = neck + 0.1 * height * point((np.sin(pose["back"]), -1.0))
    centre = tuple(int(v) for v in np.round(head * 2 * 16))
    cv2.circle(canvas, centre, round(0.075 * height * 2 * 16), skin, -1, cv2.LINE_AA, 4)


def _world(rng: Rng, frames: int) -> tuple[npt.NDArray[np.float32], dict[str, float]]:
    return _scene(rng, frames, camera_chance=0.85)


def _fluid(rng: Rng, frames: int) -> tuple[npt.NDArray[np.float32], dict[str, float]]:
    """A texture carried along by a smooth flow."""
    world, coarse = texture(rng, 96)
    if np.isnan(coarse):
        world = np.clip(0.5 + 0.25 * np.stack([noise_field(rng, 96, 0.7)] * 3, -1), 0, 1)
    cells = rng.standard_normal((4, 4, 2)).astype(np.float32)
    flow = cv2.resize(cells, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    speed = np.exp(rng.uniform(np.log(0.1), np.log(1.5)))
    t = np.arange(frames)
    frequency = rng.uniform(0.04, 0.2)
    wobbles = rng.uniform() < 0.5
    amount = speed / (2 * np.pi * frequency) * np.sin(2 * np.pi * frequency * t) if wobbles else speed * t
    ys, xs = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) + 16
    clip = np.stack(
        [
            cv2.remap(world, xs + np.float32(a) * flow[..., 0], ys + np.float32(a) * flow[..., 1],
                      cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            for a in amount
        ]
    )  # fmt: skip
    labels = {"deformation": _log(float(np.abs(np.diff(amount)).mean()), 0.1), "periodic": float(wobbles)}
    if wobbles:
        labels["frequency"] = frequency * 8
    return clip, labels


def _waves(rng: Rng, frames: int) -> tuple[npt.NDArray[np.float32], dict[str, float]]:
    """Gratings that drift: pure motion of known direction and speed."""
    grid = np.arange(SIZE, dtype=np.float32)
    t = np.arange(frames, dtype=np.float32)[:, None, None]
    total = np.zeros((frames, SIZE, SIZE), np.float32)
    speed, angle = np.exp(rng.uniform(np.log(0.1), np.log(4))), rng.uniform(0, 2 * np.pi)
    count = int(rng.integers(1, 4))
    for _ in range(count):
        wavelength = max(rng.uniform(5, 32), 2.5 * speed)
        spread = angle + rng.uniform(-0.3, 0.3)
        along = np.cos(spread) * grid[None, :] + np.sin(spread) * grid[:, None]
        total += np.sin(2 * np.pi * ((along[None] - speed * t) / wavelength + rng.uniform())).astype(
            np.float32
        )
    mix = np.clip(0.5 + total / count * rng.choice((0.5, 3.0)), 0, 1)[..., None]
    a, b = colour(rng), colour(rng)
    step = speed * np.array((np.cos(angle), np.sin(angle)))
    labels = _speed_labels(np.outer(np.arange(3), step)) | {"periodic": 1.0}
    return a + mix * (b - a), labels


def _noise(rng: Rng, frames: int) -> tuple[npt.NDArray[np.float32], dict[str, float]]:
    """A field that changes everywhere at once, slowly or fast; with flashes in one direction of time."""
    keys = max(2, round(frames / np.exp(rng.uniform(0, 2.5))) + 1)
    coarse = rng.uniform(0.2, 1)
    fields = np.stack([noise_field(rng, SIZE, coarse) for _ in range(keys)])
    at = np.linspace(0, keys - 1, frames)
    low = np.minimum(at.astype(int), keys - 2)
    share = (at - low).astype(np.float32)[:, None, None]
    values = fields[low] * (1 - share) + fields[low + 1] * share
    a, b = colour(rng), colour(rng)
    mix = 1 / (1 + np.exp(-values * rng.choice((1.0, 5.0))))
    return a + mix[..., None] * (b - a), {
        "deformation": _log(keys / frames, 0.02) / 2,
        "texture scale": coarse,
    }


_DRAW = {
    "sprites": _sprites,
    "figure": _figure,
    "world": _world,
    "fluid": _fluid,
    "waves": _waves,
    "noise": _noise,
}
_SHARES = (0.22, 0.32, 0.16, 0.12, 0.08, 0.05, 0.05)


def _light(rng: Rng, clip: npt.NDArray[np.float32], labels: dict[str, float]) -> npt.NDArray[np.float32]:
    """Fade or swell of the light, in some clips."""
    rate = 0.0
    if rng.uniform() < 0.15:
        rate = rng.choice((-1, 1)) * rng.uniform(0.01, 0.08)
        t = np.arange(len(clip)) - len(clip) / 2
        clip = clip * np.exp(rate * t - abs(rate) * len(clip) / 4).astype(np.float32)[:, None, None, None]
    labels["light"] = 20 * rate
    return clip


# --------------------------------------------------------------------------------------------- damage


def spatial_damage(
    rng: Rng, frames: npt.NDArray[np.uint8], kind: str, strength: float
) -> npt.NDArray[np.uint8]:
    """Damage every frame; `strength` in 0..1."""
    if kind == "noise":
        scale = 2 * 40**strength
        noisy = frames + rng.standard_normal(frames.shape, dtype=np.float32) * np.float32(scale)
        return np.clip(noisy, 0, 255).astype(np.uint8)
    if kind == "salt-and-pepper":
        roll = rng.random(frames.shape[:3], dtype=np.float32)
        share = 0.003 * 100**strength
        frames = frames.copy()
        frames[roll < share / 2] = 0
        frames[roll > 1 - share / 2] = 255
        return frames
    if kind == "blur":
        sigma = 0.4 * 10**strength
        return np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])
    if kind == "jpeg":
        options = [cv2.IMWRITE_JPEG_QUALITY, int(70 * 0.04**strength)]
        return np.stack([cv2.imdecode(cv2.imencode(".jpg", f, options)[1], cv2.IMREAD_COLOR) for f in frames])
    if kind == "local swap":
        return _local_swap(rng, frames, strength)
    if kind == "low resolution":
        side = int(48 * 0.2**strength)
        mode = cv2.INTER_NEAREST if rng.uniform() < 0.3 else cv2.INTER_LINEAR
        small = (cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in frames)
        return np.stack([cv2.resize(f, (SIZE, SIZE), interpolation=mode) for f in small])
    mean = frames.mean()
    share = 1 - 0.9 * strength
    return np.clip(mean + (frames - mean) * share, 0, 255).astype(np.uint8)


def _local_swap(rng: Rng, frames: npt.NDArray[np.uint8], strength: float) -> npt.NDArray[np.uint8]:
    """Exchange pairs of small blocks; the same blocks in every frame, or new ones in each."""
    frames = frames.copy()
    side = int(rng.integers(4, 15))
    swaps = int(1 + 30 * strength)
    each = rng.uniform() < 0.5
    corners = rng.integers(0, SIZE - side, size=(len(frames) if each else 1, swaps, 4))
    for frame, chosen in zip(frames, np.broadcast_to(corners, (len(frames), swaps, 4)), strict=True):
        for y, x, v, u in chosen:
            kept = frame[y : y + side, x : x + side].copy()
            frame[y : y + side, x : x + side] = frame[v : v + side, u : u + side]
            frame[v : v + side, u : u + side] = kept
    return frames


def temporal_damage(
    rng: Rng, frames: npt.NDArray[np.uint8], kind: str, strength: float
) -> npt.NDArray[np.uint8]:
    """Damage the order, the pace or the steadiness of frames; `strength` in 0..1."""
    length = len(frames)
    order = np.arange(length)
    if kind == "freeze":  # the last part is frozen; at full strength, all of it
        moving = max(1, round(length * (1 - strength)))
        order = np.minimum(order, moving - 1)
    elif kind == "shuffle":
        chosen = rng.permutation(length)[: max(2, round(length * strength))]
        order[np.sort(chosen)] = order[chosen]
    elif kind == "local shuffle":
        order = np.argsort(order + rng.uniform(0, 1 + 4 * strength, length))
    elif kind == "drop":  # lost frames are filled with the one before
        lost = rng.random(length) < 0.1 + 0.7 * strength
        lost[0] = False
        order = np.maximum.accumulate(np.where(lost, 0, order))
    elif kind == "flicker":
        gain = np.exp(rng.standard_normal(length) * (0.02 + 0.4 * strength)).astype(np.float32)
        return np.clip(frames * gain[:, None, None, None], 0, 255).astype(np.uint8)
    elif kind == "shake":
        offsets = rng.standard_normal((length, 2)) * (0.3 + 4 * strength)
        return np.stack(
            [
                cv2.warpAffine(
                    frame, np.array([[1, 0, dx], [0, 1, dy]]), (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE
                )
                for frame, (dx, dy) in zip(frames, offsets, strict=True)
            ]
        )
    return frames[order]


# ------------------------------------------------------------------------------------------ one sample


def sample(seed: int, index: int, frames: int) -> Sample:
    """Draw sample `index` of the stream `seed`.

    Args:
        seed: names the stream.
        index: 0 or more.
        frames: T.
    """
    rng = np.random.default_rng([seed, index])
    family = int(rng.choice(len(FAMILIES), p=_SHARES))
    temporal = int(rng.integers(1, len(TEMPORAL))) if rng.uniform() < 0.5 else 0
    strengths = rng.uniform(0, 1, 2).astype(np.float32)
    if TEMPORAL[temporal] == "freeze" and rng.uniform() < 0.4:
        strengths[1] = 1.0
    faster = TEMPORAL[temporal] == "faster"
    pace = int(2 + 2.5 * strengths[1]) if faster else 1

    labels: dict[str, float] = {}
    shape = -1
    if FAMILIES[family] == "shapes":
        background = "texture" if rng.uniform() < 0.4 else "plain"
        options = moving_shapes.Options(size=SIZE, frames=frames * pace, seed=seed, background=background)
        clip = moving_shapes.render(options, "extractor", index)
        shape = moving_shapes.CLASSES.index(moving_shapes.label(options, "extractor", index))
    else:
        drawn, labels = _DRAW[FAMILIES[family]](rng, frames * pace)
        drawn = _light(rng, drawn, labels)
        clip = (np.clip(drawn, 0, 1) * 255 + 0.5).astype(np.uint8)
    clip = clip[::pace]

    backwards = rng.uniform() < 0.25
    if backwards:
        clip = clip[::-1]
        labels = {name: -value if name in SIGNED_BY_TIME else value for name, value in labels.items()}
    if rng.uniform() < 0.5 and shape < 0:  # mirrored, which also turns some signs
        clip = clip[:, :, ::-1]
        for name in ("direction x", "camera x", "turn", "camera turn"):
            if name in labels:
                labels[name] = -labels[name]

    if temporal and not faster:
        clip = temporal_damage(rng, clip, TEMPORAL[temporal], float(strengths[1]))
        if TEMPORAL[temporal] not in ("flicker", "shake"):
            kept = ("objects", "object size", "texture scale")
            labels = {name: value for name, value in labels.items() if name in kept}
            shape = -1
    elif faster:  # the targets per frame step no longer hold
        labels = {
            name: value for name, value in labels.items() if "speed" not in name and name != "frequency"
        }
        shape = -1
    spatial = int(rng.integers(1, len(SPATIAL))) if rng.uniform() < 0.5 else 0
    clip = np.ascontiguousarray(clip)
    if spatial:
        clip = spatial_damage(rng, clip, SPATIAL[spatial], float(strengths[0]))
    strengths[0] *= spatial > 0
    strengths[1] *= temporal > 0
    factors = np.array([labels.get(name, np.nan) for name in FACTORS], np.float32)
    return Sample(clip, family, factors, shape, spatial, temporal, strengths)
