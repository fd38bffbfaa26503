"""The judge of moving shapes, on clips whose pieces and colours are known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vgbench.clips import moving_shapes


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    import judge_shapes as script

    return script


def squares(colours, gap=0):
    """Frames with a square of 10 × 10 pixels at another place in each; `gap` empty columns divide it."""
    clip = np.full((len(colours), 32, 32, 3), 20, np.uint8)
    for t, colour in enumerate(colours):
        clip[t, 8:18, 4 + t : 14 + t] = colour
        clip[t, :, 9 + t : 9 + t + gap] = 20
    return clip


class Answers(torch.nn.Module):
    """Gives these answers, whatever it is shown."""

    def __init__(self, answers):
        super().__init__()
        self.answers = torch.tensor(answers)

    def forward(self, frames):
        return torch.nn.functional.one_hot(self.answers, 5).float()


def test_a_frame_of_one_square_is_whole_and_its_foreground_exact(script):
    masks = script.foreground(squares([200, 200, 200]))
    expected = squares([200, 200, 200])[..., 0] == 200
    np.testing.assert_array_equal(masks, expected)
    assert all(map(script.is_whole, masks))


def test_a_divided_square_is_not_whole(script):
    assert not any(map(script.is_whole, script.foreground(squares([200, 200], gap=2))))


def test_an_empty_frame_is_not_whole(script):
    assert not script.is_whole(np.zeros((8, 8), bool))


def test_the_deviation_of_the_colour_is_that_of_known_colours(script):
    clip = squares([180, 200, 220, 200])
    expected = np.std([180, 200, 220, 200])
    assert script.colour_deviation(clip, script.foreground(clip)) == pytest.approx(expected)
    # One of three channels varies: a third of the deviation.
    red = squares([(180, 90, 90), (200, 90, 90), (220, 90, 90), (200, 90, 90)])
    assert script.colour_deviation(red, script.foreground(red)) == pytest.approx(expected / 3)


def test_blurred_outlines_do_not_count_for_the_colour(script):
    clip = squares([200, 200, 200])
    clip[1, 7, 5:15] = 120  # beyond the threshold, but at the outline
    assert script.colour_deviation(clip, script.foreground(clip)) == pytest.approx(0)


def test_frames_without_a_shape_do_not_count_as_named(script):
    clip = squares([200] * 10)
    verdict = script.judge(Answers([2] * 6 + [script.NONE] * 3 + [1]), clip)
    assert (verdict.named, verdict.shape, verdict.whole) == (0.6, 2, 1.0)
    none = script.judge(Answers([script.NONE] * 10), clip)
    assert none.named == 0


def test_real_clips_are_whole_and_of_one_colour(script):
    options = moving_shapes.Options(size=32)
    verdicts = [script.judge(Answers([0] * 16), moving_shapes.render(options, "test", i)) for i in range(12)]
    facts = script.summary(verdicts)
    assert facts["foreground of one piece in at least 90 % of the frames"] == 1
    assert facts["deviation of the colour, mean"] < 1


def test_examples_depend_on_their_index_alone(script):
    frames, answers = script.examples(0, 12)
    later, later_answers = script.examples(8, 4)
    torch.testing.assert_close(later, frames[8:], rtol=0, atol=0)
    assert torch.equal(later_answers, answers[8:])
    options = moving_shapes.Options(size=32, frames=1, seed=script.SEED)
    for index, answer in enumerate(answers.tolist()):
        shape = moving_shapes.label(options, "train", index).split(", ")[0]
        assert script.ANSWERS[answer] in (shape, "none")
    assert script.NONE in answers


def test_a_trained_classifier_is_loaded_as_it_was_saved(script, tmp_path):
    script.train(tmp_path / "shapes.safetensors", steps=2, checks=8)
    frames, _ = script.examples(0, 4)
    again, other = (script.load(tmp_path / "shapes.safetensors") for _ in range(2))
    assert not again.training
    assert torch.equal(again(frames), other(frames))
