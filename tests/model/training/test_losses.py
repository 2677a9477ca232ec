"""The UniCL loss against values computed by hand and against CLIP's loss."""

from math import e, exp, log

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.training.losses import NO_LABEL, positive_pairs, unicl_loss

ORTHONORMAL = torch.eye(3)


def random_features(count: int, seed: int) -> Tensor:
    return F.normalize(
        torch.randn(count, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1
    )


def test_pairs_of_one_label_or_of_one_text_are_positives() -> None:
    labels = torch.tensor([0, 0, 1, NO_LABEL, NO_LABEL])
    texts = torch.tensor([0, 1, 2, 2, 3])
    assert positive_pairs(labels, texts).int().tolist() == [
        [1, 1, 0, 0, 0],  # same label as the second
        [1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0],  # same text as the fourth
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],  # two rows without a label do not have the same label
    ]


def test_two_pairs_of_different_labels_by_hand() -> None:
    # The logits are [[1, 0], [0, 1]]: each row gives -log(e / (e + 1)).
    features = torch.eye(2)
    loss = unicl_loss(features, features, torch.eye(2, dtype=torch.bool), torch.tensor(0.0))
    assert loss.item() == pytest.approx(log(e + 1) - 1)


def test_two_pairs_of_the_same_label_by_hand() -> None:
    # The logits are the same, and both columns are positive: -(log(e / (e + 1)) + log(1 / (e + 1))) / 2.
    features = torch.eye(2)
    loss = unicl_loss(features, features, torch.ones(2, 2, dtype=torch.bool), torch.tensor(0.0))
    assert loss.item() == pytest.approx(log(e + 1) - 1 / 2)


def test_three_pairs_of_two_labels_by_hand() -> None:
    # All images are the first axis, and the texts are the three axes. With the scale log 2, each row of logits is
    # [2, 0, 0].
    images = ORTHONORMAL[[0, 0, 0]]
    positives = positive_pairs(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2]))
    total = log(exp(2) + 2)  # the log of each row's sum of exponentials
    image_to_text = ((total - 1) + (total - 1) + total) / 3  # the mean of 2 and 0 twice, then 0
    text_to_image = log(3)  # each text has three equal logits
    loss = unicl_loss(images, ORTHONORMAL, positives, torch.tensor(log(2)))
    assert loss.item() == pytest.approx((image_to_text + text_to_image) / 2)


def test_it_is_clips_loss_if_all_labels_and_texts_differ() -> None:
    images, texts, scale = random_features(12, 1), random_features(12, 2), torch.tensor(2.3, dtype=torch.float64)
    logits = scale.exp() * images @ texts.T
    targets = torch.arange(12)
    clip = (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
    positives = positive_pairs(targets, targets)
    torch.testing.assert_close(unicl_loss(images, texts, positives, scale), clip, rtol=0, atol=1e-12)


def test_the_gradient_is_that_of_finite_differences() -> None:
    images, texts = random_features(5, 1).requires_grad_(), random_features(5, 2).requires_grad_()
    scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    positives = positive_pairs(torch.tensor([0, 0, 1, NO_LABEL, 1]), torch.tensor([0, 1, 2, 3, 4]))
    inputs = (images, texts, scale)
    assert torch.autograd.gradcheck(lambda i, t, s: unicl_loss(i, t, positives, s), inputs)


def test_very_large_logits_give_a_finite_loss() -> None:
    loss = unicl_loss(ORTHONORMAL, ORTHONORMAL.flip(0), torch.eye(3, dtype=torch.bool), torch.tensor(log(1000)))
    assert loss.isfinite()
