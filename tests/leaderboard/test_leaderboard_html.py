"""The page: self-contained, safe against its own data, within its size, and right in a real browser."""

from __future__ import annotations

import hashlib
import html
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from leaderboard_browser import browse, console
from leaderboard_records import FIELDS, make_record, make_score, motion, save_with_thumbnails, webp
from PIL import Image

from vgbench.leaderboard import thumbnails
from vgbench.leaderboard.html_page import render_html
from vgbench.leaderboard.ranking import RankedScore, rank
from vgbench.leaderboard.report import write_report
from vgbench.leaderboard.reproduce import eval_command
from vgbench.leaderboard.whiskers import Axis, column_axis, whisker
from vgbench.records.record import SkippedClip

SCREENSHOTS = Path(__file__).parents[2] / "output" / "screenshots"

ATTACKS = (
    "<script>document.title='owned'</script>",
    "</script><script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "{{ 7 * 7 }}",
    "<!--",
    "javascript:alert(1)",
)


class Page(HTMLParser):
    """Tags with their attributes, and the text of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def records():
    return [
        make_record("alpha", {"fvd": make_score(110.0, debiased=100.0), "kvd": make_score(3.0)}),
        make_record("beta", {"fvd": make_score(210.0, debiased=200.0), "kvd": make_score(1.0, 0.1)}),
        make_record("gamma", {"fvd": make_score(310.0, debiased=300.0)}),
        make_record("real (test split)", {"fvd": make_score(15.0, debiased=5.0), "kvd": make_score(2.0)}),
    ]


def test_page_needs_no_network():
    page = Page(render_html(rank(records())))
    links = [
        value for _, attrs in page.tags for key, value in attrs.items() if key in ("src", "href", "srcset")
    ]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not any(tag in ("link", "iframe", "object", "form", "base") for tag, _ in page.tags)


def test_page_says_ranks_scores_and_signature():
    groups = rank(records())
    text = Page(render_html(groups, "My board")).text
    assert "My board" in text
    assert "100.0 ± 1.0" in text
    assert "plain 110.0" in text
    assert str(groups[0].signature) in text.replace("| ", "|")
    assert "reference row: real clips" in text


def nasty_record(attack):
    other = (*FIELDS[:-2], ("feat2", attack), FIELDS[-1])
    made = make_record(
        attack,
        {"fvd": make_score(1.0, method=attack), attack: make_score(2.0)},
        fields=other,
        warnings=((attack, attack),),
        environment={attack: attack},
        protocol={"name": attack, attack: attack},
        details={
            attack: 1.0,
            "motion": motion([1, 2], [1, 2]) | {"windows": {attack: attack}},
            "sampled": {"command": attack},
            "train_config": {attack: attack},
            "training": {attack: [[0, 1], [1, 2]]},
            "better": {attack: attack},
        },
        created=attack,
    )
    skipped = made.clips.generated.model_copy(
        update={"source": attack, "skipped": (SkippedClip(path=attack, reason=attack),)}
    )
    return made.model_copy(update={"clips": made.clips.model_copy(update={"generated": skipped})})


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_from_records_stays_text(attack):
    harmless = Page(render_html(rank([nasty_record("harmless")]), "harmless"))
    page = Page(render_html(rank([nasty_record(attack)]), attack))
    # The same elements with the same attribute names, whatever the text says.
    shape = [(tag, sorted(attrs)) for tag, attrs in page.tags]
    assert shape == [(tag, sorted(attrs)) for tag, attrs in harmless.tags]
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    assert " ".join(attack.split()) in page.text


def test_content_security_policy_allows_exactly_the_page_s_own_script():
    text = render_html(rank(records()))
    (policy,) = (
        attrs["content"] for tag, attrs in Page(text).tags if tag == "meta" and "http-equiv" in attrs
    )
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    import base64

    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_thumbnails_are_inlined_with_a_still_frame(tmp_path):
    picture = webp()
    save_with_thumbnails(make_record("a"), tmp_path, [picture])
    (path,) = write_report([tmp_path], tmp_path / "out.html", ["html"])
    page = Page(path.read_text())
    (image,) = (attrs for tag, attrs in page.tags if tag == "img")
    import base64

    assert base64.b64decode(image["src"].partition(",")[2]) == picture
    (still,) = (attrs for tag, attrs in page.tags if tag == "source")
    assert still["media"] == "(prefers-reduced-motion: reduce)"
    with Image.open(io.BytesIO(base64.b64decode(still["srcset"].partition(",")[2]))) as frame:
        assert (frame.size, getattr(frame, "n_frames", 1)) == ((32, 32), 1)


def test_a_changed_missing_or_foreign_thumbnail_is_left_out(tmp_path):
    record = make_record("a")
    path = save_with_thumbnails(record, tmp_path, [webp(1), webp(2), b"not a picture", webp(3)])
    folder = tmp_path / f"{record.stem}.clips"
    (folder / "generated-0.webp").write_bytes(webp(9))
    (folder / "generated-1.webp").unlink()
    from vgbench.records.record import load_record

    album = thumbnails.collect(rank([load_record(path)], paths=[path]))
    (pictures,) = album.generated.values()
    assert (len(pictures), album.unusable) == (1, 3)
    assert "3 thumbnails are missing or changed" in render_html(rank([load_record(path)], paths=[path]))


def webp_that_announces(side):
    """A picture of a pixel in a canvas of `side` squared, by the container specification of WebP."""

    def chunk(name, data):
        return name + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)

    Image.new("RGB", (16, 16)).save(small := io.BytesIO(), "WEBP", lossless=True)
    canvas, zero = (side - 1).to_bytes(3, "little"), bytes(3)
    frame = zero + zero + (15).to_bytes(3, "little") * 2 + (40).to_bytes(3, "little") + b"\2"
    body = chunk(b"VP8X", b"\2" + zero + canvas + canvas) + chunk(b"ANIM", bytes(6))
    body = b"WEBP" + body + chunk(b"ANMF", frame + small.getvalue()[12:])
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def test_a_small_file_that_announces_a_huge_picture_is_left_out(tmp_path):
    from vgbench.records.record import load_record

    pictures = [webp_that_announces(16), webp_that_announces(16383), webp()[:-30]]
    assert len(pictures[1]) < 200
    path = save_with_thumbnails(make_record("a"), tmp_path, pictures)
    album = thumbnails.collect(rank([load_record(path)], paths=[path]))
    (shown,) = album.generated.values()
    assert (len(shown), album.unusable) == (1, 2)


def test_a_thumbnail_with_a_number_beyond_all_bounds_is_no_thumbnail(tmp_path):
    picture = webp()
    names = {f"generated-{'9' * 5000}.webp": hashlib.sha256(picture).hexdigest()}
    album = thumbnails.collect(rank([make_record("a", thumbnails=names)], paths=[tmp_path / "a.json"]))
    assert not any(album.generated.values())


def test_a_thumbnail_outside_of_the_folder_is_not_read(tmp_path):
    picture = webp()
    (tmp_path / "generated-0.webp").write_bytes(picture)
    names = {"../generated-0.webp": hashlib.sha256(picture).hexdigest()}
    path = make_record("a", thumbnails=names).save(tmp_path / "results")
    album = thumbnails.collect(rank([make_record("a", thumbnails=names)], paths=[path]))
    assert album.unusable == 1


def test_the_budget_is_shared_fairly_and_said(tmp_path):
    paths = [save_with_thumbnails(make_record(m), tmp_path, [webp(i) for i in range(4)]) for m in ("a", "b")]
    from vgbench.records.record import load_record

    groups = rank([load_record(path) for path in paths], paths=paths)
    size = thumbnails.read_thumbnail(tmp_path, *next(iter(groups[0].rows[0].record.thumbnails.items()))).size
    album = thumbnails.collect(groups, budget=int(4.5 * size))
    assert [len(pictures) for pictures in album.generated.values()] == [2, 2]
    assert album.over_budget == 4


def test_twenty_models_stay_below_five_megabytes(tmp_path):
    picture = webp(0, side=64, frames=16)  # noise: the worst case for any codec
    assert len(picture) > 30_000
    for number in range(20):
        save_with_thumbnails(make_record(f"m{number}", 100.0 + number), tmp_path, [picture] * 8)
    (path,) = write_report([tmp_path], tmp_path / "out", ["html"])
    assert path.stat().st_size < 5_000_000
    assert "thumbnails were left out to keep this page small" in path.read_text()


def test_real_clips_are_shown_once_a_group(tmp_path):
    for name in ("a", "b"):
        record = make_record(name)
        save_with_thumbnails(record, tmp_path, [webp(1), webp(2)], side="real")
    (path,) = write_report([tmp_path], tmp_path / "out", ["html"])
    assert sum(tag == "img" for tag, _ in Page(path.read_text()).tags) == 2


def test_clips_nearest_to_and_farthest_from_real_come_last_and_are_named(tmp_path):
    pictures = {"farthest": webp(1), "nearest": webp(2), "10": webp(3), "2": webp(4)}
    save_with_thumbnails(make_record("a"), tmp_path, pictures)
    (path,) = write_report([tmp_path], tmp_path / "out", ["html"])
    page = Page(path.read_text())
    labels = [attrs["alt"] for tag, attrs in page.tags if tag == "img"]
    assert labels == ["a, clip 1", "a, clip 2", "a, nearest clip", "a, farthest clip"]
    assert page.text.index("nearest to real") < page.text.index("farthest from real")


def test_whiskers_share_the_axis_of_their_column():
    (group,) = rank(
        [
            make_record("a", {"fvd": make_score(100.0, 10.0)}),
            make_record("b", {"fvd": make_score(200.0, 10.0)}),
        ]
    )
    axis = column_axis(group, group.columns[0])
    assert (axis.low, axis.high) == pytest.approx((80.4, 219.6))
    w = whisker(group.rows[0].cells["fvd"], axis)
    assert (w.low, w.middle) == pytest.approx((0.0, 14.08), abs=0.01)


def test_a_far_reference_row_does_not_squeeze_the_models():
    control = make_record("noise", 90_000.0, details={"role": "control"})
    (group,) = rank([make_record("a", 100.0), make_record("b", 200.0), control])
    axis = column_axis(group, group.columns[0])
    assert axis.high < 300
    assert whisker(group.rows[-1].cells["fvd"], axis).off == "right"
    assert whisker(RankedScore(make_score(float("nan"), None)), axis) is None
    assert Axis(3.0, 3.0).position(3.0) == 50.0


def test_page_shows_how_a_model_was_sampled_and_trained():
    details = {
        "sampled": {"command": "vgbench sample runs/a --out a", "clips": 8, "device": "cpu"},
        "train_config": {"size": 32, "<b>": "<script>"},
        "sampling_gmac_per_clip": 0.25,
        "motion": motion([0.1, 0.1], [0.2, 0.2]),
    }
    text = Page(render_html(rank([make_record("a", details=details)]))).text
    for words in ("vgbench sample runs/a --out a", "<script>", "Sampling GMAC per clip 0.25", "size: 32"):
        assert words in text
    assert "Flow to the next frame generated real" in text


def test_eval_command_is_quoted_and_names_what_differs_from_the_shipped_protocol():
    from vgbench.protocol import load

    shipped = load("quick").model_dump(mode="json")
    record = make_record("it's mine", protocol=shipped)
    assert eval_command(record).startswith("vgbench eval ")
    assert eval_command(record).endswith("""--protocol quick --name 'it'"'"'s mine'""")
    changed = {**shipped, "seed": 7, "metrics": ["fvd"], "windows": {**shipped["windows"], "frames": 8}}
    command = eval_command(make_record("a", protocol=changed))
    assert "--set windows.frames=8 --metrics fvd --set seed=7" in command
    assert "--protocol mine.yaml" in eval_command(make_record("a", protocol={"name": "mine"}))


# ---- in a browser ----


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    moving = motion([0.02, 0.03, 0.01], [0.02, 0.02, 0.02], [0.6, *([0.01] * 40)])
    training = {"fvd": [[0, 400.0], [500, 150.0], [1000, 110.0]]}
    for record in records():
        shown = {"motion": moving, "training": training, "sampling_seconds_per_clip": 0.01}
        record = record.model_copy(update={"details": shown})
        save_with_thumbnails(record, folder, [webp(n) for n in range(4)])
    nasty_record(ATTACKS[1]).save(folder)
    (path,) = write_report([folder], folder / "page" / "board.html", ["html"])
    return path


def models(dom: str) -> list[str]:
    rows = re.findall(r'<tr role="row"[^>]*data-model="([^"]*)"([^>]*)>', dom)
    return [html.unescape(name) for name, rest in rows if "hidden" not in rest]


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("#sort=kvd", ["beta", "real (test split)", "alpha", "gamma"]),  # gamma has none: last
        ("#sort=kvd,desc", ["alpha", "real (test split)", "beta", "gamma"]),
        ("#sort=model,desc&filter=AL", ["real (test split)", "alpha"]),
    ],
)
def test_sorting_and_filtering(page, tmp_path, fragment, expected):
    found = models(browse(page, tmp_path, fragment, "--dump-dom"))
    assert [name for name in found if name not in ATTACKS] == expected


def test_the_console_stays_empty(page, tmp_path):
    assert console(page, tmp_path / "a", "#sort=kvd&filter=a&theme=dark&motion=off") == []
    loud = tmp_path / "loud.html"
    loud.write_text("<script>nothing.here()</script>")
    assert console(loud, tmp_path / "b")  # it would have been seen


def test_a_reader_clicks_and_types(page, tmp_path):
    """The page's own policy lets no script in, so a page around it does what a reader's hands do."""
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"""<iframe id=f src="{page.as_uri()}"></iframe><pre id=seen></pre><script>
        f.onload = () => {{
          const inner = f.contentDocument, steps = [];
          const shown = () => [...inner.querySelectorAll(".board tbody tr")].filter((row) => !row.hidden)
            .map((row) => row.dataset.model).filter((name) => !name.includes("<")).join("|");
          const heading = inner.querySelector('.board th[data-sort="kvd"] button');
          heading.click(); steps.push(shown());
          heading.click(); steps.push(shown());
          const event = new f.contentWindow.KeyboardEvent("keydown", {{key: "/", bubbles: true}});
          inner.body.dispatchEvent(event); steps.push(inner.activeElement.id);
          const box = inner.getElementById("filter");
          box.value = "MA"; box.dispatchEvent(new f.contentWindow.Event("input")); steps.push(shown());
          inner.getElementById("theme").click(); steps.push(inner.documentElement.dataset.theme);
          seen.textContent = steps.join(" / ");
        }};</script>"""
    )
    dom = browse(frame, tmp_path / "profile", "", "--dump-dom", "--allow-file-access-from-files")
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom)
    assert found is not None
    steps = html.unescape(found[1]).split(" / ")
    assert steps[:2] == ["beta|real (test split)|alpha|gamma", "alpha|real (test split)|beta|gamma"]
    assert steps[-3:] == ["filter", "gamma", "dark"]


def test_the_browser_runs_no_text_from_records(page, tmp_path):
    dom = browse(page, tmp_path, "", "--dump-dom")
    shown = [name for name in models(dom) if name not in ATTACKS]
    assert shown == ["real (test split)", "alpha", "beta", "gamma"]
    assert "<title>Leaderboard</title>" in dom
    # The page's own script did run: it offers the choice of plots. Names in plots are text.
    assert '<span class="choices">' in dom
    assert dom.count("<script") == 1


def test_the_reader_can_stop_the_clips_and_choose_the_theme(page, tmp_path):
    dom = browse(page, tmp_path, "#theme=dark&motion=off", "--dump-dom")
    assert '<html lang="en" data-theme="dark">' in dom
    assert dom.count('class="first-frame" media="all"') == 16
    assert re.search(r'id="motion"[^>]*aria-pressed="true"[^>]*>Play clips<', dom)


@pytest.mark.parametrize(("name", "fragment"), [("light", "#theme=light"), ("dark", "#theme=dark")])
def test_screenshots(page, tmp_path, name, fragment):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    target = SCREENSHOTS / f"{name}.png"
    browse(page, tmp_path, fragment, f"--screenshot={target}", "--window-size=1280,1600")
    with Image.open(target) as picture:
        corner = picture.convert("RGB").getpixel((2, 2))
    assert (min(corner) > 200) if name == "light" else (max(corner) < 60)


def test_a_phone_needs_no_sideways_scrolling(page, tmp_path):
    # Headless windows are at least 500 pixels wide, so the page is shown in a frame of a phone's width.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id=f src="{page.as_uri()}" style="width:390px;height:2400px;border:0"></iframe>'
        "<script>f.onload = () => setTimeout(() => {document.body.append("
        "'inner ' + f.contentDocument.documentElement.scrollWidth)}, 200)</script>"
    )
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    shot = f"--screenshot={SCREENSHOTS / 'phone.png'}"
    browse(frame, tmp_path / "a", "", shot, "--window-size=500,2450")
    dom = browse(frame, tmp_path / "b", "", "--dump-dom", "--allow-file-access-from-files")
    assert "inner 390" in dom
