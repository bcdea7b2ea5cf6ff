from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.errors import UsageError
from edgeseg.evaluate import Predict
from edgeseg.fusion import fuse_views, log_softmax
from edgeseg.preprocess import Fit, normalise_float, to_input, upscale_logits
from tests.scenes import draw_street
from tests.train.conftest import nearest_color_network
from train.config import DatasetEntry
from train.datasets import Dataset
from train.evaluate import Views, evaluate_datasets, make_predictor, make_true


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return nearest_color_network()


def test_a_network_that_knows_the_colours_scores_high(network: keras.Model, streets: Path) -> None:
    dataset = Dataset.open(DatasetEntry(name="a", root=streets, mapping="edgeseg"))
    predict = make_predictor(network, (96, 128))
    matrix = evaluate_datasets(predict, [dataset])["a"]
    assert matrix.counts.sum() == 12 * 96 * 128
    assert matrix.iou()["road"] > 0.85
    assert matrix.mean_iou_foreground() > 0.6


def test_scores_that_see_a_class_too_often_are_judged_as_they_will_be_shipped(
    network: keras.Model, streets: Path
) -> None:
    dataset = Dataset.open(DatasetEntry(name="a", root=streets, mapping="edgeseg"))
    predict = make_predictor(network, (96, 128))

    def too_many_people(image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        return predict(image_bgr) + np.float32([0, 0, 0, 15])

    def people_found(predict: Predict) -> float:
        return evaluate_datasets(predict, [dataset])["a"].iou()["person"]

    assert people_found(too_many_people) < people_found(predict) - 0.05
    made_true = people_found(make_true(too_many_people, [dataset]))
    assert made_true == pytest.approx(people_found(make_true(predict, [dataset])), abs=0.02)


def test_fused_views_follow_the_formula(network: keras.Model) -> None:
    image, _ = draw_street(np.random.default_rng(4))
    fused = make_predictor(network, (96, 128), Views((1.0, 0.5), flip=True))(image)
    views = []
    for size in ((96, 128), (64, 64)):  # half of 96x128, rounded to the stride 32
        batch = normalise_float(to_input(image, size))[None]
        for flip in (False, True):
            scores = network.predict_on_batch(batch[:, :, ::-1] if flip else batch)[0]
            scores = np.ascontiguousarray(scores[:, ::-1] if flip else scores)
            views.append(log_softmax(upscale_logits(scores, Fit.plan((96, 128), size))))
    assert np.allclose(fused, fuse_views(views), atol=1e-4)


def test_views_are_rounded_to_what_the_network_takes() -> None:
    assert Views((0.75, 1.0, 1.25)).sizes((352, 480)) == [(256, 352), (352, 480), (448, 608)]
    with pytest.raises(UsageError, match="scales"):
        Views((0.0,))
