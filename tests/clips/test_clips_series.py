"""Names of images: in any order that a directory gives them, the frames come back in theirs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgbench.clips.numbering import gaps, is_count
from vgbench.clips.series import Reading, in_order_of_names, read_as_one, read_as_series, read_names

PREFIXES = (
    "",
    "frame",
    "frame_",
    "frame-",
    "Frame ",
    "img_",
    "IMG",
    "clip_a-",
    "v2_take3_",
    "кадр_",
    "x.",
    "f",
    "im",
    "[a] ",
)
AFTER = ("", "_crop", ".color", "_256x256", " (copy)", ")")
SUFFIXES = (".png", ".jpg", ".JPEG", ".tif")


def numbered(form: str, counts: range) -> list[str]:
    """Names of the frames of one clip, in their order."""
    if form == "padded":
        return [f"{n:05d}" for n in counts]
    if form == "mixed padding":
        return [f"{n:0{1 + n % 4}d}" for n in counts]
    return [str(n) for n in counts]


@st.composite
def one_clip(draw: st.DrawFn) -> list[str]:
    start, step = draw(st.sampled_from((0, 1, 7, 95, 997))), draw(st.sampled_from((1, 1, 2, 5, 33)))
    numbers = numbered(
        draw(st.sampled_from(("padded", "plain", "mixed padding"))),
        range(start, start + step * draw(st.integers(2, 40)), step),
    )
    before, after = draw(st.sampled_from(PREFIXES)), draw(st.sampled_from(AFTER))
    suffixes = draw(st.sampled_from([(suffix,) for suffix in SUFFIXES] + [(".png", ".jpg")]))
    return [f"{before}{n}{after}{suffixes[i % len(suffixes)]}" for i, n in enumerate(numbers)]


def shown(names: list[str], reading: Reading) -> list[list[str]]:
    return [[names[position] for position in series.members] for series in reading.series]


@given(names=one_clip(), data=st.data())
@settings(max_examples=150, deadline=None)
def test_frames_of_one_clip_come_back_in_order(names: list[str], data: st.DataObject) -> None:
    mixed = data.draw(st.permutations(names))
    for read in (read_names, read_as_one, read_as_series):
        reading = read(mixed)
        assert (shown(mixed, reading), reading.doubt, reading.left_out) == ([names], "", ())
        assert reading.series[0].gap == ""
    assert not read_names(mixed).is_split


@given(names=one_clip(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_lost_frame_is_noticed_and_named(names: list[str], data: st.DataObject) -> None:
    if len(names) < 5:
        return
    lost = data.draw(st.integers(1, len(names) - 2))
    left = names[:lost] + names[lost + 1 :]
    reading = read_names(data.draw(st.permutations(left)))
    (series,) = reading.series
    assert f"is missing between {names[lost - 1]} and {names[lost + 1]}" in series.gap


@st.composite
def several_clips(draw: st.DrawFn) -> list[list[str]]:
    key = draw(
        st.sampled_from(
            ("clip{:02d}_frame", "clip{}_frame", "{:06d}.", "seed{}-", "v_Yo_g01_c{:02d}_", "{:03d}_", "a{}f")
        )
    )
    length = draw(st.integers(4, 24).filter(lambda n: n != 10))
    start, first = draw(st.integers(0, 1)), draw(st.integers(0, 90))
    form = draw(st.sampled_from(("padded", "plain")))
    after = draw(st.sampled_from(("", "_rgb", ".left")))
    return [
        [f"{key.format(clip)}{n}{after}.png" for n in numbered(form, range(start, start + length + clip % 2))]
        for clip in range(first, first + draw(st.integers(2, 12)))
    ]


@given(clips=several_clips(), data=st.data())
@settings(max_examples=150, deadline=None)
def test_names_that_differ_in_a_clip_s_number_are_several_clips(
    clips: list[list[str]], data: st.DataObject
) -> None:
    names = data.draw(st.permutations([name for clip in clips for name in clip]))
    for read in (read_names, read_as_series):
        reading = read(names)
        assert (shown(names, reading), reading.doubt, reading.is_split) == (clips, "", True)
        assert len({series.name for series in reading.series}) == len(clips)
        assert {series.gap for series in reading.series} == {""}


@given(
    st.lists(st.text("abt_-. +()019٣½", max_size=9).map(lambda stem: f"{stem}.png"), min_size=1, unique=True)
)
@settings(max_examples=300, deadline=None)
def test_any_names_give_each_image_one_place_or_a_question(names: list[str]) -> None:
    for read in (read_names, read_as_one, read_as_series, in_order_of_names):
        reading = read(names)
        used = sorted([p for series in reading.series for p in series.members] + [*reading.left_out])
        assert used == ([] if reading.doubt else list(range(len(names))))


R = range
ORDERS: dict[str, list[str]] = {
    "ffmpeg": [f"out{n:04d}.png" for n in R(1, 12)],
    "UCF-101 frames": [f"frame{n:06d}.jpg" for n in R(1, 12)],
    "ImageNet-VID": [f"{n:06d}.JPEG" for n in R(12)],
    "KITTI": [f"{n:010d}.png" for n in R(12)],
    "Vimeo-90k": [f"im{n}.png" for n in R(1, 8)],
    "without padding": [f"frame{n}.png" for n in R(1, 12)],
    "two paddings": [f"{n:03d}.png" for n in R(8)] + [f"{n}.png" for n in R(8, 12)],
    "two suffixes": [f"{n}.png" for n in R(8)] + [f"{n}.jpg" for n in R(8, 12)],
    "two cases": ["Frame_1.PNG", "frame_2.png", "Frame_3.png"],
    "copies of Windows": ["image.png", *(f"image ({n}).png" for n in R(2, 12))],
    "an omitted 0": ["img.png", *(f"img{n}.png" for n in R(1, 12))],
    "negative": [f"frame_{n}.png" for n in R(-11, 3)],
    "negative without separator": [f"frame{n}.png" for n in R(-11, 3)],
    "all negative": [f"{n}.png" for n in R(-11, 0)],
    "all negative after a name": [f"t={n}.png" for n in R(-11, 0)],
    "hyphens without a 0": [f"clip -{n}.png" for n in R(1, 12)],
    "around t": ["im_t-2.png", "im_t-1.png", "im_t.png", "im_t+1.png", "im_t+2.png"],
    "a hyphen is no sign": [f"clip_a-{n:03d}.png" for n in R(12)],
    "nanoseconds": [f"{1403636579763555584 + 50_000_000 * n + 97 * (n % 3)}.png" for n in R(12)],
    "seconds with a fraction": [f"{(1305031102_975304 + 33_333 * n) / 1e6:.6f}.png" for n in R(60)],
    "decimals as Python writes them": [f"t{n / 30:.3f}".rstrip("0") + ".png" for n in R(1, 30)],
    "decimals without a fraction": [
        "0.png",
        "0.033.png",
        "0.5.png",
        "1.png",
        "1.033.png",
        "1.5.png",
        "2.png",
    ],
    "hundredths": [f"{12 + n / 25:.2f}.png" for n in R(60)],
    "milliseconds": [f"{round(n * 1000 / 30)}.png" for n in R(40)],
    "evenly drawn": [f"{round(n * 99 / 15):05d}.jpg" for n in R(16)],
    "dates": [f"2024-05-06_12-{30 + n // 60}-{n % 60:02d}.png" for n in R(50, 70)],
    "dates without separators": [f"cam_20240506T1230{n:02d}.jpg" for n in R(12)],
    "number and time": [f"frame_{n:04d}_pts_{n * 33}.png" for n in R(12)],
    "a number that stays": [f"frame_{n:04d}_of_16_256x256.png" for n in R(12)],
    "words behind numbers": ["01_walk.png", "02_turn.png", "03_walk.png"],
    "letters": ["a.png", "b.png", "c.png"],
}


@pytest.mark.parametrize("names", ORDERS.values(), ids=ORDERS)
def test_every_scheme_that_people_use_sorts_right(names: list[str]) -> None:
    for mixed in (names[::-1], sorted(names), names[1::2] + names[::2]):
        reading = read_names(mixed)
        assert (shown(mixed, reading), reading.doubt) == ([names], "")
        assert (reading.is_split, reading.left_out, reading.series[0].gap) == (False, (), "")


SEVERAL: dict[str, tuple[list[str], list[str]]] = {
    "flat": ([f"clip{c:02d}_frame{n:02d}.png" for c in R(3) for n in R(6)], ["clip00", "clip01", "clip02"]),
    "WebDataset": ([f"{c:06d}.{n:03d}.png" for c in R(2) for n in R(6)], ["000000", "000001"]),
    "a class of UCF-101": (
        [f"v_Yo_g01_c{c:02d}_{n:04d}.jpg" for c in R(1, 3) for n in R(1, 7)],
        ["v_Yo_g01_c01", "v_Yo_g01_c02"],
    ),
    "Cityscapes": (
        [f"ulm_{c:06d}_{n:06d}_leftImg8bit.png" for c in R(2) for n in R(6)],
        ["ulm_000000_leftImg8bit", "ulm_000001_leftImg8bit"],
    ),
    "the frame first": ([f"frame{n}_clip{c}.png" for c in R(2) for n in R(6)], ["clip0", "clip1"]),
    "pieces of long videos": (
        [f"video{c}_frame{100 * c + n:04d}.png" for c in R(2) for n in R(6)],
        ["video0", "video1"],
    ),
    "ten frames after a point": ([f"{c}.{n:03d}.png" for c in R(7, 9) for n in R(10)], ["7", "8"]),
    "every fifth frame": ([f"{c:03d}_{n:05d}.jpg" for c in R(2) for n in R(0, 30, 5)], ["000", "001"]),
    "a recording's date": (
        [f"2024-05-06_{c:02d}_frame{n:03d}.png" for c in R(2) for n in R(6)],
        ["2024-05-06_00", "2024-05-06_01"],
    ),
}


@pytest.mark.parametrize(("names", "clips"), SEVERAL.values(), ids=SEVERAL)
def test_several_clips_are_named_after_what_their_names_share(names: list[str], clips: list[str]) -> None:
    reading = read_names(names[::-1])
    assert ([series.name for series in reading.series], reading.is_split) == (clips, True)
    assert [name for clip in shown(names[::-1], reading) for name in clip] == names


QUESTIONS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "colour and depth": (
        [f"frame-{n:06d}.{kind}.png" for kind in ("color", "depth") for n in R(6)],
        ("2 clips (frame-*.color.png, frame-*.depth.png)", "--layout series", "'auto=frame-*.color.png'"),
    ),
    "images and flow": (
        [f"{kind}_{n:05d}.jpg" for kind in ("img", "flow_x", "flow_y") for n in R(1, 7)],
        ("3 clips (img_*.jpg, flow_x_*.jpg, flow_y_*.jpg)", "--layout series", "'auto=img_*.jpg'"),
    ),
    "masks by suffix": (
        [f"{n}.{kind}" for kind in ("jpg", "png") for n in R(6)],
        ("2 clips (*.jpg, *.png)",),
    ),
    "masks by word": (
        [f"{n:04d}{kind}.png" for kind in ("", "_mask") for n in R(6)],
        ("2 clips (*[0-9].png, *_mask.png)", "'auto=*[0-9].png'"),
    ),
    "truth and prediction": (
        [f"gt{n}.png" for n in R(1, 9)] + [f"pd{n}.png" for n in R(5, 9)],
        ("gt*.png, pd*.png",),
    ),
    "clips named by words": (
        [f"clip_{c}-{n:03d}.png" for c in "ab" for n in R(6)],
        ("2 clips", "--layout series"),
    ),
    "clips and views": (
        [f"{c}_{n:03d}_{k}.png" for c in R(2) for n in R(6) for k in ("rgb", "d")],
        ("4 clips",),
    ),
    "two exports": (
        [f"{n}.png" for n in R(1, 5)] + [f"{n:04d}.png" for n in R(1, 5)],
        ("the same number", "sorted"),
    ),
    "minutes and seconds": (
        [f"{m:02d}_{s:02d}.png" for m in R(2) for s in R(60)],
        ("2 clips", "all 120 frames, which --layout frames"),
    ),
    "a time code": ([f"00-00-{s:02d}-{f:02d}.png" for s in R(3) for f in R(24)], ("3 clips", "72 frames")),
    "tenths": ([f"{n / 10}.png" for n in R(25)], ("3 clips", "25 frames")),
    "scenes that go on": ([f"scene{1 + n // 8}_{n:04d}.png" for n in R(24)], ("3 clips", "24 frames")),
    "cameras": ([f"{n:04d}_{camera}.png" for n in R(12) for camera in R(2)], ("12 clips", "24 frames")),
    "which is the frame": (
        [f"frame_{a:02d}_{b:03d}.png" for a in R(4) for b in R(6)],
        ("4 clips", "24 frames"),
    ),
    "a few frames of each": (
        [f"clip{c}_frame{n}.png" for c in R(3) for n in (1, 40, 55, 98)],
        ("3 clips", "12 frames"),
    ),
    "numbered cameras": (
        [f"cam{c}_frame{n:03d}.png" for c in R(2) for n in R(6)],
        ("2 clips (cam0_frame*.png, cam1_frame*.png)", "'auto=cam0_frame*.png'"),
    ),
    "channels of a microscope": (
        [f"img_{n:03d}_ch{c}.tif" for c in R(2) for n in R(6)],
        ("2 clips (img_*_ch0.tif, img_*_ch1.tif)",),
    ),
    "planes of a microscope": (
        [f"img_{n:03d}_z{z:03d}.tif" for n in R(3) for z in R(6)],
        ("6 clips (img_*_z000.tif, img_*_z001.tif, img_*_z002.tif and 3 more)",),
    ),
    "hashes": (["3f2a.png", "9bc0e.png", "77aa1.png"], ("do not count frames", "--layout sorted")),
}


@pytest.mark.parametrize(("names", "said"), QUESTIONS.values(), ids=QUESTIONS)
def test_names_that_can_be_read_in_two_ways_are_a_question(names: list[str], said: tuple[str, ...]) -> None:
    names = sorted(names)
    reading = read_names(names)
    assert reading.series == ()
    for part in said:
        assert part in reading.doubt


def test_a_question_names_patterns_that_select_one_reading() -> None:
    names = [f"{n:04d}{kind}.png" for kind in ("", "_mask") for n in R(6)]
    plain = [name for name in names if "mask" not in name]
    assert shown(plain, read_names(plain)) == [plain]


def test_names_of_any_length_are_read() -> None:
    """Members of archives may have names of 65,535 bytes, and Python converts at most 4,300 digits."""
    names = [f"{'9' * 6000}_{n}.png" for n in R(3)]
    assert shown(names[::-1], read_names(names[::-1])) == [names]


def test_images_without_a_frame_s_number_are_left_out() -> None:
    names = ["cover.png", "grid_8x8.png", *(f"{n:04d}.png" for n in R(12))]
    reading = read_names(names)
    assert shown(names, reading) == [names[2:]]
    assert reading.left_out == (0, 1)
    assert shown(names, read_as_one(names)) == [[*names[2:], "cover.png", "grid_8x8.png"]]


def test_a_folder_of_one_clip_is_read_as_its_neighbours_are() -> None:
    one = [f"clip00_frame{n:02d}.png" for n in R(6)]
    alone = read_names(one)
    assert not alone.is_split
    among_others = read_names(one, {alone.template})
    assert (among_others.is_split, [series.name for series in among_others.series]) == (True, ["clip00"])


def test_as_series_every_word_is_a_clip() -> None:
    names = [f"{kind}_{n:05d}.jpg" for kind in ("flow_x", "img") for n in R(1, 7)] + ["cover.jpg"]
    reading = read_as_series(names)
    assert [(series.name, series.pattern) for series in reading.series] == [
        ("flow_x", "flow_x_*.jpg"),
        ("img", "img_*.jpg"),
    ]
    assert reading.left_out == (12,)
    both = [f"{n}.{kind}" for kind in ("jpg", "png") for n in R(6)]
    assert shown(both, read_as_series(both)) == [both[:6], both[6:]]


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ([0, 1, 2, 3], []),
        ([0, 1, 3, 4], [2]),
        ([7, 8, 12], [9]),
        ([0, 1, 5, 9, 13], [2, 6, 10]),
        ([0, 5, 10, 15], []),
        ([0, 5, 10, 20, 25], [15]),
        ([0, 7, 13, 20, 26, 33], []),
        ([0, 7, 13, 26, 33], [20]),
        ([0, 33, 67, 100, 133], []),
        ([0, 33, 67, 133, 167, 200], [101]),
        ([0, 40, 97, 133, 300, 301000], []),
        ([-2, -1, 1], [0]),
        ([0, 50], []),
        ([3], []),
    ],
)
def test_gaps_are_told_from_steps(numbers: list[int], missing: list[int]) -> None:
    found = gaps(numbers)
    assert len(found) == len(missing)
    for gap, number in zip(found, missing, strict=True):
        assert abs(gap.number - number) <= 1
        assert numbers[gap.before] < gap.number < numbers[gap.before + 1]


def test_a_gap_counts_its_frames() -> None:
    (gap,) = gaps([7, 8, 12])
    assert (gap.before, gap.number, gap.count) == (1, 9, 3)


def test_a_count_is_at_least_half_there() -> None:
    assert is_count([0, 1, 2, 4])
    assert is_count([3])
    assert is_count([0, 5, 10])
    assert not is_count([0, 1, 40])
    assert not is_count([0, 33, 67])
    assert not is_count([0, 0, 1])


def test_a_gap_is_written_as_its_neighbours_are() -> None:
    def gap(names: list[str]) -> str:
        return read_names(names).series[0].gap

    assert gap(["0006.png", "0007.png", "0009.png"]) == "frame 0008 is missing between 0007.png and 0009.png"
    assert gap(["f8.png", "f9.png", "f12.png"]) == (
        "frame 10 is missing between f9.png and f12.png, and 1 more is"
    )
    written = [f"t{n / 30:.3f}".rstrip("0") + ".png" for n in R(1, 12) if n != 5]
    assert gap(written) == "frame 0.166 is missing between t0.133.png and t0.2.png"
