"""What is known about public data sets: where they come from, how many clips they have, how they are split.

The counts are those of the papers and of the official archives, with the source beside each of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from vgbench.clips.image_names import natural_key
from vgbench.clips.suffixes import ANIMATIONS, IMAGES, VIDEOS
from vgbench.errors import VgbenchError


class Found(NamedTuple):
    """One clip of a data set.

    Attributes:
        path: its file, or its folder of frames.
        label: its class.
        group: name of the video that it was cut from, where names of files state it. Clips of one video are
            not independent.
    """

    path: Path
    label: str | None = None
    group: str | None = None


Split = dict[str, list[Found]]
"""Split ("train" or "test") -> its clips."""


@dataclass(frozen=True)
class KnownSet:
    """One public data set.

    Attributes:
        title: what it is.
        where: where to get it, because vgbench downloads no data sets.
        source: source of the counts and of the split.
        layout: what the folder has to contain, in one line.
        find: function of the folder and the number of the official split that finds the clips.
        counts: split -> number of clips, for the first official split.
        classes: number of classes; 0 if there are none.
        other_counts: number of another official split -> its counts.
        fewer: why a valid copy may have fewer clips; "" if there is no such reason.
    """

    title: str
    where: str
    source: str
    layout: str
    find: Callable[[Path, int], Split]
    counts: Mapping[str, int]
    classes: int = 0
    other_counts: Mapping[int, Mapping[str, int]] | None = None
    fewer: str = ""

    def expected(self, split: int) -> Mapping[str, int]:
        """Number of clips of "train" and "test" in an official split.

        Raises:
            VgbenchError: there is no such split.
        """
        known = {1: self.counts, **(self.other_counts or {})}
        if split not in known:
            raise VgbenchError(
                f"--split {split}: {self.title} has no such split",
                f"known: {', '.join(map(str, sorted(known)))}",
            )
        return known[split]


def _holds_something(path: Path) -> bool:
    """Whether a file is neither empty, as after a failed download, nor a broken link."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _files(folder: Path, pattern: str) -> list[tuple[Path, re.Match[str]]]:
    """Files in a folder, at any depth, whose full name matches, in natural order, without empty files."""
    found = []
    for path in folder.rglob("*"):
        match = re.fullmatch(pattern, path.name, re.IGNORECASE)
        if match and path.is_file() and _holds_something(path):
            found.append((path, match))
    return sorted(found, key=lambda entry: natural_key(entry[0].name))


def ucf101(folder: Path, split: int) -> Split:
    """Groups 1-7, 8-14 and 15-21 are the test clips of the three official splits.

    The clips of one class and group are cut from one video.
    """
    held_back = range(7 * split - 6, 7 * split + 1)
    found: Split = {"train": [], "test": []}
    for path, match in _files(folder, r"v_([A-Za-z]+)_g(\d\d)_c\d\d\.(avi|mp4|webm|mkv)"):
        clip = Found(path, match[1], f"{match[1]}_g{match[2]}")
        found["test" if int(match[2]) in held_back else "train"].append(clip)
    return found


KTH_TEST = {2, 3, 5, 6, 7, 8, 9, 10, 22}


def kth(folder: Path, _: int) -> Split:
    """Nine of the 25 people are the test clips; those of training and validation are the training clips."""
    found: Split = {"train": [], "test": []}
    for path, match in _files(folder, r"person(\d\d)_([a-z]+)_d[1-4](_uncomp)?\.(avi|mp4|mkv)"):
        found["test" if int(match[1]) in KTH_TEST else "train"].append(Found(path, match[2]))
    return found


WEIZMANN_TEST = {"lyova", "moshe", "shahar"}
WEIZMANN_PEOPLE = "daria|denis|eli|ido|ira|lena|lyova|moshe|shahar"


def weizmann(folder: Path, _: int) -> Split:
    """There is no official split: the last three of the nine people by name are the test clips.

    Both clips of a person who does an action twice are one group.
    """
    found: Split = {"train": [], "test": []}
    pattern = (
        rf"({WEIZMANN_PEOPLE})_(bend|jack|jump|pjump|run|side|skip|walk|wave1|wave2)[12]?\.(avi|mp4|mkv)"
    )
    for path, match in _files(folder, pattern):
        clip = Found(path, match[2], f"{match[1]}_{match[2]}".lower())
        found["test" if match[1].lower() in WEIZMANN_TEST else "train"].append(clip)
    return found


def mocogan_actions(folder: Path, _: int) -> Split:
    """Weizmann clips as MoCoGAN published them: for each person, four actions, each as it is and mirrored.

    Number // 8 is the person and number // 2 the recording. There is no official split: the last three
    people are the test clips, as in `weizmann`.
    """
    found: Split = {"train": [], "test": []}
    for path, match in _files(folder, r"0{6}(\d\d)\.(jpg|png)"):
        if path.parent.name in ("0", "1", "3", "4") and (number := int(match[1])) < 72:
            found["test" if number >= 48 else "train"].append(
                Found(path, path.parent.name, f"recording {number // 2}")
            )
    return found


def sky(folder: Path, _: int) -> Split:
    """Folders of frames in sky_train and sky_test; VIDEO_1, VIDEO_2 and so on are cut from one video."""
    return {
        side: [
            clip._replace(group=_without_number(clip.path)) for clip in _clips_below(folder, f"sky_{side}")
        ]
        for side in ("train", "test")
    }


def _without_number(path: Path) -> str:
    name = path.stem if path.is_file() else path.name
    return re.sub(r"_\d+$", "", name)


def taichi(folder: Path, _: int) -> Split:
    """Videos or folders of frames in train and test, named VIDEO#FIRST#LAST after video and frames."""
    return {
        side: [clip._replace(group=_before_hash(clip.path.name)) for clip in _clips_below(folder, side)]
        for side in ("train", "test")
    }


def _before_hash(name: str) -> str | None:
    video, mark, _ = name.partition("#")
    return video if mark else None


SPLITS = "put the three files of dataset/splits of github.com/ondyari/FaceForensics into the folder"


def faceforensics(folder: Path, _: int) -> Split:
    """FaceForensics++: videos 000 to 999, split by the authors' JSON files of pairs; val is in neither split.

    Raises:
        VgbenchError: the JSON files are missing or damaged.
    """
    videos = {match[1]: path for path, match in _files(folder, r"(\d{3})\.(mp4|avi|mkv)")}
    found: Split = {"train": [], "test": []}
    for side in found if videos else ():
        path = next(iter(sorted(folder.rglob(f"{side}.json"))), None)
        if path is None:
            raise VgbenchError(f"{folder}: {side}.json is missing", SPLITS)
        names = sorted(name for pair in _pairs(path) for name in pair)
        found[side] = [Found(videos[name]) for name in names if name in videos]
    return found


def _pairs(path: Path) -> list[tuple[str, str]]:
    """Read the pairs of video names of a split.

    Raises:
        VgbenchError: the file cannot be read, or contains something else.
    """
    try:
        return TypeAdapter(list[tuple[str, str]]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise VgbenchError(
            f"{path}: not a list of pairs of video names", f"it is damaged; {SPLITS}"
        ) from error


def _clips_below(folder: Path, name: str) -> list[Found]:
    """Videos, and folders of images, in the folder of that name; without classes."""
    base = folder if folder.name == name else next(iter(sorted(folder.rglob(name))), None)
    if base is None or not base.is_dir():
        return []
    clips: dict[Path, None] = {}
    for path in base.rglob("*"):
        if path.name.startswith("."):
            continue
        suffix = path.suffix.lower()
        if suffix in (*VIDEOS, *ANIMATIONS) and _holds_something(path):
            clips[path] = None
        elif suffix in IMAGES and path.parent not in clips and _holds_something(path):
            clips[path.parent] = None
    return [Found(path) for path in sorted(clips, key=lambda clip: natural_key(str(clip)))]


KNOWN: dict[str, KnownSet] = {
    "ucf101": KnownSet(
        title="UCF-101, human actions",
        where="https://www.crcv.ucf.edu/data/UCF101.php (UCF101.rar; unpack it)",
        source="Soomro, Zamir and Shah 2012, arXiv 1212.0402; train and test lists of the official archive",
        layout="v_CLASS_gNN_cNN.avi, 101 folders",
        find=ucf101,
        counts={"train": 9537, "test": 3783},
        classes=101,
        other_counts={2: {"train": 9586, "test": 3734}, 3: {"train": 9624, "test": 3696}},
    ),
    "kth": KnownSet(
        title="KTH actions",
        where="https://www.csc.kth.se/cvap/actions/ (six zip files; unpack them)",
        source="Schuldt, Laptev and Caputo 2004; 25 people × 6 actions × 4 scenes, less one missing video",
        layout="personNN_ACTION_dN_uncomp.avi",
        find=kth,
        counts={"train": 383, "test": 216},
        classes=6,
    ),
    "weizmann": KnownSet(
        title="Weizmann actions",
        where="https://www.wisdom.weizmann.ac.il/~vision/SpaceTimeActions.html (ten zip files; unpack them)",
        source="Gorelick et al. 2007: nine people, ten actions, three of which one person does twice",
        layout="PERSON_ACTION.avi",
        find=weizmann,
        counts={"train": 63, "test": 30},
        classes=10,
    ),
    "mocogan-actions": KnownSet(
        title="Weizmann actions of MoCoGAN",
        where="https://github.com/sergeytulyakov/mocogan (data/actions)",
        source="Tulyakov et al. 2018, arXiv 1707.04993: four actions of nine people, each also mirrored",
        layout="folders 0, 1, 3 and 4 with 00000000.jpg to 00000071.jpg, which are strips of frames",
        find=mocogan_actions,
        counts={"train": 48, "test": 24},
        classes=4,
    ),
    "sky": KnownSet(
        title="Sky Time-lapse",
        where="https://github.com/weixiong-ur/mdgan (sky_timelapse.tar; unpack it)",
        source="Xiong et al. 2018, arXiv 1709.07592, section 4: clips of 32 frames",
        layout="sky_train/ and sky_test/ with folders of frames",
        find=sky,
        counts={"train": 35392, "test": 2815},
        fewer="copies that join the clips of a video have fewer and longer clips",
    ),
    "faceforensics": KnownSet(
        title="FaceForensics++, original videos",
        where="https://github.com/ondyari/FaceForensics (on request; original_sequences/youtube)",
        source="Rössler et al. 2019, arXiv 1901.08971; dataset/splits of the repository",
        layout="NNN.mp4, and train.json and test.json of dataset/splits",
        find=faceforensics,
        counts={"train": 720, "test": 140},
    ),
    "taichi": KnownSet(
        title="TaiChi-HD",
        where="https://github.com/AliaksandrSiarohin/first-order-model (data/taichi-loading)",
        source="Siarohin et al. 2019, arXiv 2003.00196, section 4",
        layout="train/ and test/ with videos or folders of frames",
        find=taichi,
        counts={"train": 3049, "test": 285},
        fewer="it is downloaded from the web, where videos disappear",
    ),
}
