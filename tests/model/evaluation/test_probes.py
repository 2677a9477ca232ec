"""Simple models on embeddings."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from model.evaluation.probes import linear_probe_scores


def test_the_fits_of_the_linear_probe_use_one_thread_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = LogisticRegression.fit
    threads: list[int] = []
    pools = pytest.importorskip("threadpoolctl").threadpool_info

    def recorded(model: LogisticRegression, *rows: object) -> LogisticRegression:
        threads.extend(pool["num_threads"] for pool in pools() if pool["user_api"] == "blas")
        return fit(model, *rows)

    monkeypatch.setattr(LogisticRegression, "fit", recorded)
    truth = np.eye(2, dtype=bool)[np.arange(40) % 2]
    features = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32) + truth[:, :1]
    scores = linear_probe_scores(features, truth, list(range(40)), features, one_label=True)
    assert scores.shape == (40, 2)
    assert set(threads) == {1}
