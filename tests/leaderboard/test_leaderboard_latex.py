"""The LaTeX tables, as pdflatex sees them: they compile whatever the models are called, and fit the page.

Needs pdflatex with booktabs and lmodern (Debian: texlive-latex-base, texlive-latex-recommended, lmodern).
"""

from __future__ import annotations

import re
import subprocess

import needs
import pytest
from leaderboard_records import make_record, make_score

from vgbench.leaderboard.latex import escape, render_latex
from vgbench.leaderboard.published import load_published, published_lines
from vgbench.leaderboard.ranking import rank

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs,textcomp,graphicx,longtable,lmodern}
\usepackage[T1]{fontenc}
\begin{document}
%s
\end{document}
"""

NAMES = (
    r"100%_&#{x}~^\end{tabular}$a$ <b> |'`",
    r"\input{/etc/passwd} \write18{ls}",
    "[z] ?` !` -- --- ,, <<>>",
    "GAN-Überprüfung Łódź ÿ ß €™… «»‚„†‡•’",
    "模型 модель γ 😀 \u202ex\u0301 e\u0301",
    "ĦħĸĿŀŉŦŧſ½²¸",
    "a\nb\x00c\\",
)


def run(command, folder):
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=300)


def needs_tex(folder):
    needs.program("pdflatex")
    for file in ("booktabs.sty", "longtable.sty", "lmodern.sty"):
        if run(["kpsewhich", file], folder).returncode:
            needs.absent(f"pdflatex has no {file} here")


def test_it_compiles_and_stays_within_the_page(tmp_path):
    needs_tex(tmp_path)
    scores = {
        name: make_score(340.24, 8.12) for name in ("fvd", "kvd", "acd", "inception_score", "niqe", "x_y")
    }
    groups = rank([make_record(name, scores) for name in NAMES])
    lines = published_lines(load_published(["ucf101"]), groups)
    (tmp_path / "board.tex").write_text(DOCUMENT % render_latex(groups, r"50% & \more", lines))
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "board.tex"]
    for _ in range(2):  # a longtable finds its widths at the second run
        done = run(command, tmp_path)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    log = (tmp_path / "board.log").read_text(errors="replace")
    assert (tmp_path / "board.pdf").read_bytes().startswith(b"%PDF")
    assert not re.search(r"too (wide|large)|Missing character", log)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("模", r"\texttt{U+6A21}"),
        ("e\u0301", "é"),
        ("--", "-{}-"),
        ("a,,b", "a,{},b"),
        ("Łódź", "Łódź"),
        ("literature’s", "literature’s"),
    ],
)
def test_characters_beyond_latin_fonts_are_named_and_none_melt(text, expected):
    assert escape(text) == expected
