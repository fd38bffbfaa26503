"""Known data sets on tiny hand-made folders that are named like the real ones."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from vgbench.bench.suite import SuiteData
from vgbench.clips import open_source, write_clips
from vgbench.datasets.known import KNOWN, KTH_TEST, ucf101
from vgbench.datasets.prepare import prepare
from vgbench.errors import ConfigError, VgbenchError


def touch(*paths: Path, data: bytes = b"x") -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def rows(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


def test_ucf101_splits_are_the_official_ones_by_group(tmp_path):
    folder = tmp_path / "UCF-101"
    for action, group in product(("Archery", "YoYo"), range(1, 26)):
        touch(folder / action / f"v_{action}_g{group:02d}_c01.avi")
    touch(folder / "Archery" / "v_Archery_g01_c02.avi", data=b"")  # a failed download
    touch(folder / "readme.txt")
    for split, groups in ((1, range(1, 8)), (2, range(8, 15)), (3, range(15, 22))):
        done = prepare("ucf101", folder, split=split)
        assert done.counts == {"train": 36, "test": 14}
        held_back = {
            f"{a}/v_{a}_g{g:02d}_c01.avi,{a},{a}_g{g:02d}" for a in ("Archery", "YoYo") for g in groups
        }
        assert set(rows(done.manifests["test"])) == held_back
        assert sum(done.expected.values()) == 13320
    assert "2 classes, but the set has 101" in done.problems
    assert any("36 clips, but the set has 9624" in problem for problem in done.problems)
    with pytest.raises(VgbenchError, match="--split 4"):
        prepare("ucf101", folder, split=4)


def test_a_whole_kth_has_no_problems(tmp_path):
    actions = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
    for action, person, scene in product(actions, range(1, 26), range(1, 5)):
        if (action, person, scene) != ("handclapping", 13, 3):  # missing in the official archive
            touch(tmp_path / action / f"person{person:02d}_{action}_d{scene}_uncomp.avi")
    done = prepare("kth", tmp_path)
    assert done.problems == ()
    assert done.counts == {"train": 383, "test": 216}
    people = {int(Path(row).name[6:8]) for row in rows(done.manifests["test"])}
    assert people == KTH_TEST


def test_a_whole_weizmann_has_no_problems(tmp_path):
    people = ["daria", "denis", "eli", "ido", "ira", "lena", "lyova", "moshe", "shahar"]
    actions = ["bend", "jack", "jump", "pjump", "run", "side", "skip", "walk", "wave1", "wave2"]
    for person, action in product(people, actions):
        twice = person == "lena" and action in ("run", "skip", "walk")
        touch(*(tmp_path / f"{person}_{action}{n}.avi" for n in ((1, 2) if twice else ("",))))
    done = prepare("weizmann", tmp_path)
    assert (done.problems, done.counts, done.classes) == ((), {"train": 63, "test": 30}, 10)
    assert "daria_wave1.avi,wave1,daria_wave1" in rows(done.manifests["train"])
    assert {row.split(",")[2] for row in rows(done.manifests["train"]) if "lena_run" in row} == {"lena_run"}


def groups_of(path: Path) -> list[str | None]:
    return [clip.group for clip in open_source(str(path)).clips]


def test_clips_cut_from_one_video_are_one_group(tmp_path):
    """As the names of the files state it; a name of one class says nothing about another class."""
    ucf = tmp_path / "ucf"
    for name in ("YoYo_g08_c01", "YoYo_g08_c02", "YoYo_g09_c01", "Archery_g08_c01"):
        touch(ucf / f"v_{name}.avi")
    done = prepare("ucf101", ucf)
    assert groups_of(done.manifests["train"]) == ["Archery_g08", "YoYo_g08", "YoYo_g08", "YoYo_g09"]
    assert done.manifests["test"].read_text().splitlines() == ["path,label"]

    frames = np.zeros((3, 8, 8, 3), np.uint8)
    for video in ("a_b_1", "a_b_2", "c_1"):
        write_clips([frames], tmp_path / "sky_train" / video[:-2] / video, "frames", names=["."])
    assert groups_of(prepare("sky", tmp_path).manifests["train"]) == ["a_b", "a_b", "c"]

    taichi = tmp_path / "taichi"
    touch(*(taichi / "train" / f"{name}.mp4" for name in ("x#000001#000100", "x#000200#000300", "y#1#2")))
    assert groups_of(prepare("taichi", taichi).manifests["train"]) == ["x", "x", "y"]


def test_a_clip_of_mocogan_and_its_mirror_image_are_one_group(tmp_path):
    for number in range(72):
        folder = ("1", "0", "3", "4")[number // 2 % 4]
        touch(tmp_path / folder / f"{number:08d}.jpg")
    done = prepare("mocogan-actions", tmp_path)
    assert (done.problems, done.counts, done.classes) == ((), {"train": 48, "test": 24}, 4)
    pairs: dict[str, set[int]] = {}
    for row in rows(done.manifests["test"]):
        path, _, group = row.split(",")
        pairs.setdefault(group, set()).add(int(Path(path).stem))
    assert sorted(map(sorted, pairs.values())) == [[number, number + 1] for number in range(48, 72, 2)]


def test_sky_clips_are_folders_of_frames_that_open(tmp_path):
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    for side, video in (("train", "a"), ("train", "b"), ("test", "c")):
        write_clips([frames], tmp_path / "sky_timelapse" / f"sky_{side}" / video, "frames")
    done = prepare("sky", tmp_path)
    assert done.counts == {"train": 2, "test": 1}
    assert any("fewer and longer clips" in problem for problem in done.problems)
    source = open_source(str(done.manifests["train"]))
    assert [clip.count_frames() for clip in source.clips] == [3, 3]
    assert not source.skipped


def test_faceforensics_needs_the_authors_split(tmp_path):
    touch(*(tmp_path / "videos" / f"{number:03d}.mp4" for number in range(6)))
    with pytest.raises(VgbenchError, match=r"train\.json") as caught:
        prepare("faceforensics", tmp_path)
    assert "dataset/splits" in caught.value.remedy
    for side, pairs in {"train": [["000", "003"]], "val": [["001", "005"]], "test": [["002", "004"]]}.items():
        touch(tmp_path / "splits" / f"{side}.json", data=json.dumps(pairs).encode())
    done = prepare("faceforensics", tmp_path)
    assert rows(done.manifests["train"]) == ["videos/000.mp4,", "videos/003.mp4,"]
    assert rows(done.manifests["test"]) == ["videos/002.mp4,", "videos/004.mp4,"]


@pytest.mark.parametrize("damage", [b"{bad", b"[1,2]", b"", b'{"a": 1}', b'[["000"]]', b"\xff"])
def test_a_damaged_split_of_faceforensics_is_named_with_the_remedy(damage, tmp_path):
    touch(tmp_path / "000.mp4")
    touch(tmp_path / "train.json", data=damage)
    with pytest.raises(VgbenchError, match=r"train\.json: not a list of pairs") as caught:
        prepare("faceforensics", tmp_path)
    assert "dataset/splits" in caught.value.remedy


def test_a_link_to_nothing_is_no_clip(tmp_path):
    touch(tmp_path / "train" / "a.mp4", tmp_path / "test" / "b.mp4")
    for link in (tmp_path / "train" / "gone.mp4", tmp_path / "train" / "frames" / "0.png"):
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(tmp_path / "nowhere")
    assert prepare("taichi", tmp_path).counts == {"train": 1, "test": 1}
    (tmp_path / "daria_bend.avi").symlink_to(tmp_path / "nowhere")
    touch(tmp_path / "daria_run.avi")
    assert prepare("weizmann", tmp_path).counts == {"train": 1, "test": 0}


def test_a_name_that_no_manifest_can_hold_is_said(tmp_path):
    touch(tmp_path / "train" / "clip-\udcff.mp4", tmp_path / "test" / "b.mp4")
    with pytest.raises(VgbenchError, match=r"clip-\\udcff\.mp4: the name is not UTF-8") as caught:
        prepare("taichi", tmp_path)
    assert caught.value.remedy == "rename it"
    (tmp_path / "train" / "clip-\udcff.mp4").rename(tmp_path / "train" / "clip-ÿ.mp4")
    assert prepare("taichi", tmp_path).counts == {"train": 1, "test": 1}


def test_taichi_takes_videos_and_folders_of_frames(tmp_path):
    touch(
        *(tmp_path / name for name in ("train/one.mp4", "train/two/1.png", "train/two/2.png", "test/x.mp4"))
    )
    done = prepare("taichi", tmp_path)
    assert rows(done.manifests["train"]) == ["train/one.mp4,", "train/two,"]
    assert any("disappear" in problem for problem in done.problems)


def test_manifests_elsewhere_name_whole_paths(tmp_path):
    touch(tmp_path / "in" / "daria_bend.avi", tmp_path / "in" / "moshe_bend.avi")
    done = prepare("weizmann", tmp_path / "in", tmp_path / "out")
    assert rows(done.manifests["train"]) == [f"{tmp_path / 'in' / 'daria_bend.avi'},bend,daria_bend"]
    assert SuiteData(train=str(done.manifests["train"])).train == str(tmp_path / "out" / "train.csv")


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_an_empty_folder_says_where_to_get_the_set(name, tmp_path):
    with pytest.raises(VgbenchError) as caught:
        prepare(name, tmp_path)
    assert "https://" in caught.value.remedy
    with pytest.raises(VgbenchError, match="no such folder"):
        prepare(name, tmp_path / "nowhere")


def test_packed_archives_are_to_be_unpacked_and_names_are_checked(tmp_path):
    touch(tmp_path / "UCF101.rar")
    with pytest.raises(VgbenchError, match=r"UCF101\.rar") as caught:
        prepare("ucf101", tmp_path)
    assert "unpack" in caught.value.remedy
    with pytest.raises(ConfigError, match="unknown data set 'ucf'"):
        prepare("ucf", tmp_path)
    assert ucf101(tmp_path, 1) == {"train": [], "test": []}
