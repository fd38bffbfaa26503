"""Suffixes of the files that hold clips, and of those that are usual beside clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

VIDEOS_OF = {
    "mov,mp4": (".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mj2", ".ismv"),
    "matroska,webm": (".mkv", ".webm", ".mk3d"),
    "avi": (".avi", ".divx"),
    "asf": (".wmv", ".asf"),
    "mpeg,mpegvideo": (".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".mpv", ".m2p", ".vob"),
    "mpegts": (".ts", ".mts", ".m2ts", ".m2t", ".tp", ".trp"),
    "ogg": (".ogv", ".ogm"),
    "flv": (".flv",),
    "mxf": (".mxf",),
    "nut": (".nut",),
    "yuv4mpegpipe": (".y4m",),
    "dv": (".dv", ".dif"),
    "rm": (".rm", ".rmvb"),
    "wtv": (".wtv",),
    "ivf": (".ivf",),
    "obu": (".obu",),
    "h264": (".h264", ".264", ".avc"),
    "hevc": (".hevc", ".h265", ".265"),
    "vvc": (".vvc", ".h266", ".266"),
    "mjpeg": (".mjpeg", ".mjpg"),
    "m4v": (),  # a raw MPEG-4 stream, whatever its name
}
"""FFmpeg's names of containers and raw streams -> suffixes.

FFmpeg tells the container from the content. Playlists and other formats that would open further files or
addresses are left out, so that a clip from a stranger can only ever be a clip; so are the formats of games.
"""

VIDEOS = tuple(suffix for suffixes in VIDEOS_OF.values() for suffix in suffixes)
CONTAINERS = ",".join(VIDEOS_OF)
UNTIMED = frozenset({"h264", "hevc", "vvc", "mjpeg", "m4v", "obu"})
"""Raw streams, which hold no time stamps; FFmpeg gives them 25 frames per second."""

IMAGES_OF = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "BMP": (".bmp", ".dib"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "TGA": (".tga",),
    "QOI": (".qoi",),
    "SGI": (".sgi",),
    "PCX": (".pcx",),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpx"),
    "AVIF": (".avif", ".avifs"),
    "HEIF": (".heic", ".heif"),
    "JXL": (".jxl",),
}
"""Pillow's names of image formats -> suffixes."""

IMAGES = tuple(suffix for suffixes in IMAGES_OF.values() for suffix in suffixes)
ANIMATIONS = (".gif", ".apng")
PLUGINS = {
    "HEIF": ("pi_heif", "register_heif_opener", "pi-heif"),
    "JXL": ("pillow_jxl", None, "pillow-jxl-plugin"),
    "AVIF": ("pillow_avif", None, "pillow-avif-plugin"),
}
"""Formats that Pillow may lack -> the module that adds it, its function to call, its package."""

LOSSY_IMAGES = tuple(
    suffix for kind in ("JPEG", "JPEG2000", "AVIF", "HEIF", "JXL") for suffix in IMAGES_OF[kind]
)

NUMPY_ARRAYS = (".npy", ".npz")
TENSORS = (".pt", ".pth")
SAFETENSORS = (".safetensors",)
HDF5 = (".h5", ".hdf5")
ARRAYS = (*NUMPY_ARRAYS, *TENSORS, *SAFETENSORS, *HDF5)

ARCHIVES = (".zip", ".tar")
COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
MANIFESTS = (".csv", ".tsv", ".jsonl", ".ndjson")
LISTS = (".txt", ".lst", ".list")

WITHOUT_CLIPS = " without clips"
"""After the suffix of array files that hold something else, such as weights or actions."""

NO_SUFFIX = "(no suffix)"

COMPANIONS = frozenset(
    (
        *(".txt", ".md", ".rst", ".json", ".jsonl", ".ndjson", ".yaml", ".yml", ".toml", ".ini", ".cfg"),
        *(".csv", ".tsv", ".xml", ".html", ".log", ".cls", ".lst", ".list", ".pdf", ".bib", ".tex"),
        *(".srt", ".vtt", ".ass", ".md5", ".sha1", ".sha256", ".sfv", ".nfo", ".url", ".lnk", ".torrent"),
        *(".wav", ".mp3", ".aac", ".m4a", ".flac", ".ogg", ".opus"),  # sound of its own
        *(".py", ".sh", ".ipynb", ".svg", ".thm", ".lrv", ".aae", ".xmp", ".parquet", ".lock", ".part"),
    )
)
"""Suffixes of files that describe clips or come with them: text, tables, checksums, subtitles, sound."""

COMPANION_NAMES = frozenset(
    ("readme", "license", "licence", "copying", "notice", "changelog", "makefile", "citation", "md5sums")
)
"""Whole names, in lower case, of further such files."""

SYSTEM_FILES = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "sampling.json", "dataset.json")
)
"""Files, in lower case, that are not counted: those of Windows and macOS, and those that state facts."""


def suffix_of(path: str) -> str:
    """Return the suffix of a file, in lower case and with its dot; README and its like, or `NO_SUFFIX`."""
    name = path.rpartition("/")[2].lower()
    if name in COMPANION_NAMES:
        return name.upper()
    stem, dot, suffix = name.rpartition(".")
    return dot + suffix if stem and suffix else NO_SUFFIX


def is_companion(suffix: str) -> bool:
    """Whether files that `suffix_of` calls so are usual beside clips, and nobody takes them for clips."""
    return suffix in COMPANIONS or suffix.lower() in COMPANION_NAMES or suffix.endswith(WITHOUT_CLIPS)


def describe(counts: Mapping[str, int]) -> str:
    """Return "3 files left out: 2 .txt, 1 .csv" for the number of files of each suffix."""
    total = sum(counts.values())
    shown = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return f"{total} file{'s' * (total != 1)} left out: " + ", ".join(f"{n} {name}" for name, n in shown)


def total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up numbers of files of each suffix."""
    summed: dict[str, int] = {}
    for one in counts:
        for name, number in one.items():
            summed[name] = summed.get(name, 0) + number
    return summed
