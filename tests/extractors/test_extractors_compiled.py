"""Compiled extractors, with torch's tracer but without the minutes of its code generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stub_extractor import StubExtractor

from vgbench.errors import ConfigError, VgbenchError
from vgbench.extractors import winograd
from vgbench.extractors.compiled import CompiledExtractor
from vgbench.extractors.extractor import Extracted, Extractor

# torch says so of itself on Python 3.13.0
pytestmark = pytest.mark.filterwarnings("ignore:Guards may run slower:RuntimeWarning")

CLIPS = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 6, 3), dtype=np.uint8)


class Linear(Extractor):
    """A linear map of colours, Winograd's convolution along time, and features of every frame."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.spec = StubExtractor().spec
        self.layer = torch.nn.Linear(3, 4)
        self.kernels = winograd.transform_kernel(torch.randn(2, 4, 3, 3, 3))

    def forward(self, clips: torch.Tensor) -> Extracted:
        x = self.layer(clips.float() / 255).permute(0, 4, 1, 2, 3)
        return Extracted(winograd.convolve(x, self.kernels).mean((2, 3, 4)), None, x.mean((3, 4)).mT)


@pytest.mark.skipif(
    torch.__version__.startswith("2.6."), reason="the compiler of torch 2.6 cannot trace named tuples"
)
def test_gives_the_same_from_one_graph_for_every_batch():
    torch.compiler.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(inputs)
        return graph.forward

    plain = Linear()
    compiled = CompiledExtractor(plain, backend=backend)
    assert compiled.spec is plain.spec
    for clips in (CLIPS, CLIPS[:3], CLIPS[:2]):
        expected, found = plain(clips), compiled(clips)
        torch.testing.assert_close(found.features, expected.features)
        torch.testing.assert_close(found.frames, expected.frames)
        assert found.logits is None
    assert len(graphs) == 1


def test_without_a_compiler_it_says_so(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="no-such-compiler was not found") as caught:
        CompiledExtractor(Linear())
    assert "leave out --compile" in caught.value.remedy


def test_a_compiler_that_fails_is_the_users_to_know():
    def broken(graph, inputs):
        raise RuntimeError("Python.h is missing")

    torch.compiler.reset()
    compiled = CompiledExtractor(Linear(), backend=broken)
    with pytest.raises(VgbenchError, match=r"torch\.compile failed: .*Python\.h is missing") as caught:
        compiled(CLIPS)
    assert "--compile" in caught.value.remedy
