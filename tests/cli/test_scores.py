"""The score of a run and the choice of what to draw."""

from __future__ import annotations

import math

from evsys_otel.cli.scores import best_score, charts_of, lower_is_better, run_score


def test_a_run_is_scored_by_its_last_eval() -> None:
    """Of an eval the telling metric counts; one without finite values is passed over."""
    evals = [{"metrics": {"loss": 0.1, "accuracy": 0.9}}, {"metrics": {"accuracy": math.nan}}]
    assert run_score(evals) == ("accuracy", 0.9)
    assert run_score([]) is None
    assert run_score([{"metrics": None}]) is None


def test_the_best_is_the_highest_or_of_losses_the_lowest() -> None:
    """The direction is that of the metric's name."""
    assert best_score([("accuracy", 0.8), None, ("accuracy", 0.9)]) == ("accuracy", 0.9)
    assert best_score([("test/loss", 0.8), ("test/loss", 0.9)]) == ("test/loss", 0.8)
    assert lower_is_better("eval_loss")
    assert not lower_is_better("gloss")


def test_scores_of_different_metrics_have_no_best() -> None:
    """Nothing is compared that cannot be."""
    assert best_score([("accuracy", 0.8), ("f1", 0.9)]) is None


def test_what_is_drawn_first_tells_most() -> None:
    """Metrics of several splits come first, bookkeeping comes last."""
    keys = [("train", "optim/lr"), ("train", "grad_norm"), ("train", "loss"), ("val", "loss"), ("train", "accuracy")]
    assert list(charts_of(keys)) == ["loss", "accuracy", "grad_norm", "optim/lr"]
    assert charts_of(keys)["loss"] == [("train", "loss"), ("val", "loss")]


def test_an_evals_metric_is_drawn_with_the_training_metric_of_its_name() -> None:
    """The evsys callback names val metrics after their eval; a chart shows both splits all the same."""
    assert charts_of([("val", "digits/loss"), ("train", "loss"), ("val", "digits/f1"), ("train", "a/b")]) == {
        "loss": [("train", "loss"), ("val", "digits/loss")],
        "digits/f1": [("val", "digits/f1")],
        "a/b": [("train", "a/b")],
    }
