"""A user's ONNX file as an extractor."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest

from vgbench import extractors
from vgbench.errors import VgbenchError

CLIPS = np.random.default_rng(0).integers(0, 256, (3, 4, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def model(tmp_path):
    """Mean colour, and twice that as logits."""
    pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    onnx = pytest.importorskip("onnx", reason="needs the package onnx to make a model")
    make, kinds = onnx.helper, onnx.TensorProto
    graph = make.make_graph(
        [
            make.make_node("Cast", ["clips"], ["x"], to=kinds.FLOAT),
            make.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            make.make_node("Add", ["mean", "mean"], ["logits"]),
        ],
        "mean colour",
        [make.make_tensor_value_info("clips", kinds.UINT8, ["B", "T", 8, 8, 3])],
        [make.make_tensor_value_info(name, kinds.FLOAT, ["B", 3]) for name in ("mean", "logits")],
        [make.make_tensor("axes", kinds.INT64, [3], [1, 2, 3])],
    )
    path = tmp_path / "net.onnx"
    made = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(made.SerializeToString())
    return path


def test_an_onnx_file_is_an_extractor(model):
    extractor = extractors.load(str(model))
    features, logits = extractor(CLIPS)
    np.testing.assert_allclose(features.numpy(), CLIPS.mean((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(logits.numpy(), 2 * CLIPS.mean((1, 2, 3)), rtol=1e-5)
    assert extractor.spec.weights == hashlib.sha256(model.read_bytes()).hexdigest()


def test_clips_that_the_graph_refuses_are_explained(model):
    with pytest.raises(VgbenchError, match=r"net\.onnx fails on uint8 clips"):
        extractors.load(str(model))(CLIPS[:, :, :4])


def test_a_file_that_is_no_model_is_refused(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(VgbenchError, match="not an ONNX model"):
        extractors.load(str(tmp_path / "bad.onnx"))


def test_without_onnxruntime_the_error_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(VgbenchError, match="needs the package onnxruntime") as caught:
        extractors.load(str(tmp_path / "net.onnx"))
    assert caught.value.remedy == "pip install onnxruntime"
