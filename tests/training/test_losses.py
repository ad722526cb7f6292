import math

import pytest
import torch

from lightm_unet.training.losses import dice_cross_entropy, hard_dice, training_loss


def logits_of(probabilities):
    """Logits whose softmax is `(batch, voxels)` of foreground probability, for a row of pixels."""
    foreground = torch.tensor(probabilities)[:, None, None]  # (batch, 1, 1, voxels)
    return torch.cat([1 - foreground, foreground], dim=1).log()


def labels_of(rows):
    return torch.tensor(rows)[:, None, None]


def test_the_loss_is_cross_entropy_plus_one_minus_soft_dice():
    # Two voxels, the first is foreground: p = 0.8 and 0.4.
    cross_entropy = -(math.log(0.8) + math.log(0.6)) / 2
    dice = 2 * 0.8 / ((0.8 + 0.4) + 1)
    loss = dice_cross_entropy(logits_of([[0.8, 0.4]]), labels_of([[1, 0]]))
    assert loss.item() == pytest.approx(cross_entropy + 1 - dice, abs=1e-5)


def test_dice_is_taken_over_the_whole_batch_so_an_image_without_the_structure_does_not_decide():
    # Alone, the second image would have a soft Dice near 0; together: 2 * 0.9 / (0.9 + 0.1 + 1).
    loss = dice_cross_entropy(logits_of([[0.9], [0.1]]), labels_of([[1], [0]]))
    assert loss.item() == pytest.approx(-math.log(0.9) + 1 - 0.9, abs=1e-4)


def test_every_class_but_the_background_weighs_the_same_in_dice():
    # Class 1 is met exactly, class 2 of one voxel is taken for background: Dice 1 and 0.
    logits = torch.full((1, 3, 1, 10), -50.0)
    labels = torch.zeros(1, 1, 1, 10, dtype=torch.long)
    labels[..., :8], labels[..., 8] = 1, 2
    logits[0, 1, 0, :8] = logits[0, 0, 0, 8:] = 50.0
    loss = dice_cross_entropy(logits, labels)
    assert loss.item() == pytest.approx(100 / 10 + 1 - (1 + 0) / 2, abs=1e-4)


def test_half_precision_logits_and_small_integer_labels_are_computed_in_float32():
    logits, labels = torch.randn(1, 3, 4, 4), torch.randint(3, (1, 1, 4, 4))
    exact = dice_cross_entropy(logits.bfloat16().float(), labels)
    loss = dice_cross_entropy(logits.bfloat16(), labels.to(torch.uint8))
    assert loss.dtype == torch.float32
    assert torch.equal(loss, exact)


def test_one_gradient_step_lowers_the_loss():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 5, 5, requires_grad=True)
    labels = torch.randint(3, (2, 1, 5, 5))
    loss = dice_cross_entropy(logits, labels)
    loss.backward()
    assert dice_cross_entropy(logits - logits.grad, labels) < loss


def test_one_resolution_is_trained_on_its_own_loss():
    logits, labels = torch.randn(1, 3, 4, 4), torch.randint(3, (1, 1, 4, 4))
    assert torch.equal(training_loss(logits, labels), dice_cross_entropy(logits, labels))
    assert torch.equal(training_loss((logits,), labels), dice_cross_entropy(logits, labels))


def test_resolutions_weigh_half_of_the_one_before_and_the_lowest_nothing():
    labels = torch.randint(2, (1, 1, 9, 6), generator=torch.Generator().manual_seed(0))
    sizes = [(9, 6), (5, 3), (3, 2), (2, 1)]
    logits = [torch.randn(1, 2, *size, requires_grad=True) for size in sizes]
    every_second = [labels[..., :: 2**level, :: 2**level] for level in range(4)]
    losses = [dice_cross_entropy(*pair) for pair in zip(logits, every_second, strict=True)]
    loss = training_loss(tuple(logits), labels)
    # 1, 1/2 and 1/4 over their sum of 7/4.
    expected = 4 / 7 * losses[0] + 2 / 7 * losses[1] + 1 / 7 * losses[2]
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert logits[2].grad.any()
    assert not logits[3].grad.any()


def test_hard_dice_is_twice_the_overlap_over_both_sizes_for_each_image_and_class():
    labels = torch.tensor([[[[1, 1, 2, 0]]], [[[0, 0, 2, 2]]]])
    predicted = torch.tensor([[[1, 2, 2, 0]], [[0, 0, 2, 0]]])
    logits = torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1).float()
    expected = torch.tensor([[2 / 3, 2 / 3], [1.0, 2 / 3]])  # class 1 is nowhere in the second: 1
    torch.testing.assert_close(hard_dice(logits, labels), expected)


def test_hard_dice_is_zero_where_a_class_is_predicted_that_is_not_there():
    logits = torch.tensor([[[[0.0, 0.0]], [[1.0, -1.0]]]])
    assert hard_dice(logits, torch.zeros(1, 1, 1, 2, dtype=torch.uint8)).tolist() == [[0.0]]
