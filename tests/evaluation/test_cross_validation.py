import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from objclass import forest
from objclass.compute.context import Context
from objclass.errors import InputError, Stop, TerminatedError, UsageError
from objclass.evaluation.cross_validation import OF_CHOSEN, Choice, evaluate
from objclass.evaluation.groups import groups_of
from objclass.evaluation.held_out import drawn_folds, fits_of, mean, out_of_fold, predicted
from objclass.evaluation.importances import column_groups, importances
from objclass.evaluation.intervals import retraining
from objclass.evaluation.learning_curve import verdict
from objclass.evaluation.measurements import training_table
from objclass.evaluation.result import Score
from objclass.evaluation.scores import Scores, accuracy, confusions, f1s, matthews, precisions, recalls
from objclass.evaluation.settings import EvaluationSettings
from objclass.evaluation.summary import summary_lines
from objclass.forest import drawn, grow, tree_seeds
from objclass.settings import ResourceSettings
from tests.evaluation.made import NAMES, draw, made, table_of

QUICK = EvaluationSettings(trees=15)


def judged(table, **settings):
    return evaluate(table, replace(QUICK, **settings), Context())


@pytest.fixture(scope="module")
def full():
    return judged(made(), repeats=2, learning_curve=True, importances=True)


def test_an_evaluation_does_not_depend_on_threads_nor_on_the_order_of_rows(full):
    table = made()
    new = np.random.default_rng(1).permutation(len(table.images))
    mixed = table.take(np.random.default_rng(2).permutation(len(table)))
    mixed = replace(mixed, image=new[mixed.image], images=tuple(table.images[k] for k in np.argsort(new)))
    settings = replace(QUICK, repeats=2, learning_curve=True, importances=True)
    other = evaluate(mixed, settings, Context.of(ResourceSettings(jobs=3)))
    assert repr(other) == repr(full)
    assert np.array_equal(other.objects.probabilities, full.objects.probabilities)


def test_an_evaluation_that_is_stopped_ends_within_a_few_trees(monkeypatch):
    stop, grown = Stop(), []

    def counted(*given, **settings):
        grown.append(given)
        if len(grown) == 5:
            stop.ask()
        return drawn(*given, **settings)

    monkeypatch.setattr(forest, "drawn", counted)
    with pytest.raises(TerminatedError):
        evaluate(made(3), EvaluationSettings(trees=100), Context(stop=stop))
    assert len(grown) == 5


def test_seeds_draw_other_folds_and_forests(full):
    other = judged(made(), repeats=2, seed=1)
    assert not np.array_equal(other.objects.fold, full.objects.fold)
    assert not np.array_equal(other.objects.probabilities, full.objects.probabilities)


def test_no_object_is_judged_by_a_forest_that_has_seen_its_image():
    table = made()
    groups = groups_of(table)
    fits = fits_of(drawn_folds(table, groups, QUICK, 2), 0)
    assert len(fits) == 10
    assert len({fit.seed for fit in fits}) == 10
    for fit in fits:
        assert not set(table.image[fit.trained]) & set(table.image[fit.held_out])
    held_out = np.concatenate([fit.held_out for fit in fits if fit.repeat == 1])
    assert sorted(held_out) == list(range(len(table)))


def test_numbers_fit_together(full):
    assert (full.method, full.grouped_by, full.groups, full.folds, full.repeats) == (
        "cross-validation",
        "image",
        8,
        5,
        2,
    )
    assert full.confusion.sum() == len(full.objects.given) == sum(n for _, n, _ in full.by_image)
    assert np.trace(full.confusion) == full.is_correct.sum()
    assert sum(full.calibration.objects) == 2 * len(full.objects.given)
    assert full.accuracy.value == pytest.approx(
        sum(n * a for _, n, a in full.by_image) / full.confusion.sum()
    )
    assert np.allclose(full.objects.probabilities.sum(axis=1), 1, atol=1e-5)
    curve = full.learning_curve
    assert list(curve.objects) == sorted(curve.objects)
    assert curve.scores[-1] == full.balanced_accuracy  # two repeats in both
    assert curve.scores[0].value < curve.scores[-1].value


def test_labels_without_meaning_are_seen_through():
    table = made(images=20)
    shuffled = replace(table, classes=np.random.default_rng(5).permutation(table.classes))
    found = judged(shuffled)
    assert found.balanced_accuracy.low < 1 / 3 < found.balanced_accuracy.high
    assert found.matthews.low < 0 < found.matthews.high


def test_importance_is_that_of_the_columns_that_matter():
    table = made(images=10, effect=0.0, distance=2.0)
    noise = np.random.default_rng(0).normal(size=(len(table), 2)).astype(np.float32)
    table = replace(
        table,
        rows=np.hstack([table.rows[:, :2], noise, table.rows[:, :1]]),
        columns=("a", "b", "c", "d", "a2"),
        sets=("shape", "shape", "noise", "noise", "copy"),
    )
    found = {one.group: one for one in judged(table, importances=True).importances}
    assert next(iter(found)) == "shape"
    assert found["shape"].loss.low > 0.1
    assert found["noise"].loss.low < 0.02
    assert found["copy"].shared_with == ("shape",)
    assert found["shape"].columns == ("a", "b")


def test_columns_of_a_single_set_are_grouped_by_feature():
    table = replace(
        made(), columns=("Histogram_0", "Histogram_1", "Mean", "Mean in object_0"), sets=("s",) * 4
    )
    assert column_groups(table) == {"Histogram": [0, 1], "Mean": [2], "Mean in object": [3]}


@pytest.mark.parametrize(
    ("gain", "says"),
    [
        (Score(0.05, 0.01, 0.09), "would probably help"),
        (Score(0.0, -0.01, 0.01), "would hardly help"),
        (Score(0.01, -0.05, 0.07), "not certain"),
        (None, "too few"),
    ],
)
def test_verdicts(gain, says):
    assert says in verdict(gain)


def test_a_shift_of_images_shows():
    """Two batches of other brightness: random folds know both, folds of batches do not."""
    random = np.random.default_rng(0)
    rows, classes, images = draw(random, 12, 25, (0.5, 0.5), 0.0, 1.5)
    rows[:, :2] += np.where(images % 2, 4, 0)[:, None]
    batch = tuple("AB"[k % 2] for k in images)
    table = table_of(rows, classes, images, group=batch, group_name="batch")
    found = judged(table_of(rows, classes, images % 2))
    assert found.ungrouped.value > found.balanced_accuracy.value + 0.1
    assert any("Images differ" in sentence for sentence in found.cautions)
    by_batch = judged(table, group_by="batch")
    assert by_batch.ungrouped.value > by_batch.balanced_accuracy.value + 0.1
    assert any("Groups (batch) differ" in sentence for sentence in by_batch.cautions)
    # images of the same batch are in training: nothing differs
    assert not any("differ" in sentence for sentence in judged(table).cautions)


def test_images_that_are_alike_are_not_said_to_differ():
    found = judged(made(images=6, objects=40, effect=0.0))
    assert not any("differ" in sentence for sentence in found.cautions)


def test_one_image_and_few_objects_are_said():
    one = made(images=1, objects=40)
    one = replace(
        one, center=np.random.default_rng(0).random((len(one), 3)) * [20, 20, 0], extents=((100, 100, 1),)
    )
    found = judged(one)
    text = " ".join(found.cautions)
    assert found.grouped_by == "region"
    assert "All labels come from one image (image0000)" in text
    assert f"only {len(one)} labelled objects" in text
    assert "less than a quarter of the image" in text
    wide = replace(one, center=one.center * [5, 5, 0])
    assert "quarter" not in " ".join(judged(wide).cautions)


def test_few_images_have_fewer_folds_and_wide_intervals():
    found = judged(made(images=3, objects=40))
    assert found.folds == 3
    assert "3 folds rather than 5: there are only 3 images." in found.cautions
    assert any("The labels come from 3 images" in sentence for sentence in found.cautions)


def test_a_class_of_one_image_cannot_be_judged():
    rows, classes, images = draw(np.random.default_rng(0), 6, 30, (0.6, 0.4))
    classes[images == 0] = 3
    classes[np.flatnonzero(images == 1)[:4]] = 4
    found = judged(table_of(rows, classes, images, names=(*NAMES, "=rare")))
    text = "\n".join(summary_lines(found))
    assert "objects of 'odd' are in one image" in text
    assert found.by_class[2].recall is None
    assert found.confusion[2, 2] == 0
    assert "'=rare' has" not in text
    assert "All 4 objects of '=rare' are in one image" in text


def test_images_of_one_class_each_are_said():
    rows, _, images = draw(np.random.default_rng(0), 6, 30, (1.0,))
    found = judged(table_of(rows, images % 2 + 1, images))
    assert any("Each image has objects of one class only" in sentence for sentence in found.cautions)


def test_the_summary_is_short(full):
    lines = summary_lines(full)
    assert len(lines) <= 16
    assert lines[0].startswith("balanced accuracy 0.")
    assert "8 images: 5 folds, 2 times" in lines[2]


def test_an_image_that_is_unlike_the_others_is_named():
    table = made(images=10, effect=0.0, distance=3.0)
    rows = table.rows.copy()
    rows[table.image == 4] = rows[table.image == 4][::-1]  # its values belong to other objects
    found = judged(replace(table, rows=rows))
    (line,) = (line for line in summary_lines(found) if line.startswith("least accurate image"))
    name, objects, accuracy = found.by_image[4]
    assert (
        line == f"least accurate image: {name} ({round(objects * accuracy)} of {objects} objects are correct)"
    )
    assert not any("least" in line for line in summary_lines(judged(table)))


@pytest.mark.parametrize("table", [made(objects=20).take(np.arange(3)), made(shares=(1.0,))])
def test_nothing_to_judge_is_refused(table):
    with pytest.raises(InputError, match="an evaluation needs four objects at least, of two classes"):
        judged(table)


def simulated(images, shares, effect, distance, runs):
    """How many of the intervals of runs hold the score of the trained forest on fresh images, for each score."""
    fresh, true, _ = draw(np.random.default_rng(99), 150, 50, shares, effect, distance)
    held = {}
    for run in range(runs):
        seeds = (np.random.default_rng([run, images, k]) for k in range(20))
        table = next(
            found
            for seed in seeds
            if len(np.unique((found := table_of(*draw(seed, images, 30, shares, effect, distance))).classes))
            == len(shares)
        )
        groups, settings = groups_of(table), EvaluationSettings(trees=20, seed=run)
        fits = fits_of(drawn_folds(table, groups, settings, 1), run)
        found = predicted(mean(out_of_fold(table, fits, settings, Context())))
        counts = confusions(table.classes, found, groups.of, len(shares))
        scores = Scores(counts, table.names, retraining(settings.folds))
        forest = grow(table.rows, table.classes, len(shares), tree_seeds(run, 20))
        whole = predicted(forest.predict(fresh).probabilities)
        real = confusions(true, whole, np.zeros(len(true), int), len(shares))[0]
        kept = scores.judged
        pairs = {
            "accuracy": (scores.accuracy(), accuracy(real)),
            "balanced": (scores.balanced_accuracy(), recalls(real)[kept].mean()),
            "f1": (scores.f1(), f1s(real)[kept].mean()),
            "matthews": (scores.matthews(), matthews(real)),
        }
        for k, one in enumerate(scores.by_class()):
            pairs[f"recall of {k}"] = one.recall, recalls(real)[k]
            pairs[f"precision of {k}"] = one.precision, precisions(real)[k]
        for name, (score, value) in pairs.items():
            if score is not None:
                held.setdefault(name, []).append(score.low <= value <= score.high)
    return {name: np.mean(hits) for name, hits in held.items() if len(hits) >= runs / 2}


def test_intervals_cover_the_true_score_quickly():
    rates = simulated(12, (0.6, 0.4), 0.5, 1.5, 8)
    assert np.mean(list(rates.values())) >= 0.9, rates


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "effect", "distance"),
    [(6, 0.3, 1.0), (6, 1.0, 3.0), (12, 1.0, 1.0), (12, 0.3, 3.0), (40, 0.3, 1.0), (40, 1.0, 3.0)],
)
def test_intervals_cover_the_true_score_in_ninety_of_a_hundred_data_sets(images, effect, distance):
    """Few, several and many images, that differ little or much; classes hard or easy to tell, of which one is rare."""
    rates = simulated(images, (0.6, 0.35, 0.05), effect, distance, 100)
    assert {"balanced", "recall of 0", "precision of 1"} <= set(rates)
    assert min(rates.values()) >= 0.9, rates


@pytest.mark.parametrize("name", ["region", "time"])
def test_groups_that_were_given_are_used_whatever_they_are_called(name):
    table = made(images=1, objects=60)
    given = tuple("ABCDEF"[k % 6] for k in range(len(table)))
    center = np.random.default_rng(0).random((len(table), 3))
    table = replace(table, center=center, timestep=np.arange(len(table)), group=given, group_name=name)
    found = groups_of(table, name)
    assert (found.name, found.count) == (name, 6)
    with pytest.raises(UsageError, match=f"only one {name}"):
        groups_of(replace(table, group=("A",) * len(table)), name)
    assert groups_of(replace(table, group=()), name).count == 10


def test_folds_that_share_images_are_said():
    table = made(images=6, objects=20)
    slides = replace(table, group=tuple("ABC"[k % 3] for k in table.image), group_name="slide")
    wells = replace(table, group=tuple("ABC"[k % 3] for k in range(len(table))), group_name="well")
    assert not any("share images" in sentence for sentence in judged(slides, group_by="slide").cautions)
    assert any("share images" in sentence for sentence in judged(wells, group_by="well").cautions)


def test_repeats_are_a_mean_over_classifiers_and_no_committee_of_them():
    """A committee of forests of five trees is better than each."""
    table = made(effect=0.0)
    found = judged(table, trees=5, repeats=8)
    groups = groups_of(table)
    settings = replace(QUICK, trees=5)
    each = out_of_fold(table, fits_of(drawn_folds(table, groups, settings, 8), 0), settings, Context())
    hits = predicted(each) == table.classes
    assert found.accuracy.value == pytest.approx(hits.mean())
    assert found.is_correct.mean() > hits.mean() + 0.02
    truth = table.classes[:, None] == np.arange(1, 4)
    assert found.calibration.brier == pytest.approx(((each - truth) ** 2).sum(axis=2).mean(), abs=1e-6)
    assert [c.objects for c in found.by_class] == found.confusion.sum(axis=1).tolist()


def test_a_choice_of_features_is_said_where_it_was_made_with_all_labels():
    table = made()
    choice = Choice((0, 1), lambda some: (0, 1))
    settings = replace(QUICK, learning_curve=True, importances=True)
    found = evaluate(table, settings, Context(), choice)
    assert OF_CHOSEN in found.cautions
    assert found.ungrouped is None
    assert len(found.learning_curve.scores) > 1
    assert OF_CHOSEN not in evaluate(table, QUICK, Context(), choice).cautions


def test_objects_without_a_track_are_said():
    tracks = tuple("" if k % 4 == 0 else str(k // 5) for k in range(len(made(images=1, objects=60))))
    table = made(images=1, objects=60, group=tracks, timestep=np.arange(len(tracks)) % 5)
    said = " ".join(evaluate(table, EvaluationSettings(trees=5), Context()).cautions)
    assert f"{tracks.count('')} of {len(tracks)} objects have no track" in said
    whole = made(images=1, objects=60, group=tuple(name or "x" for name in tracks))
    assert "no track" not in " ".join(evaluate(whole, EvaluationSettings(trees=5), Context()).cautions)


def test_importances_of_many_columns_and_groups_take_little_memory():
    """One group of columns after the other: counts of all at once, and all shuffled tables, would take 50 MB."""
    random = np.random.default_rng(0)
    table = table_of(
        random.normal(size=(200, 60)).astype(np.float32),
        np.arange(200) % 8 + 1,
        np.arange(200),
        names=tuple("abcdefgh"),
        columns=tuple(f"f{k:02d}x" for k in range(60)),
        sets=("s",) * 60,
    )
    settings = replace(QUICK, trees=2)
    groups = groups_of(table)
    folds = drawn_folds(table, groups, settings, 1)
    tracemalloc.start()
    found = importances(table, groups, folds, settings, Context())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 60
    assert peak < 15e6


def test_scores_of_rows_without_ids_do_not_depend_on_their_order():
    rows, classes, images = draw(np.random.default_rng(0), 6, 20, (0.6, 0.4))
    order = np.random.default_rng(1).permutation(len(rows))

    def scores(rows, classes, groups, **more):
        table = training_table({}, rows, classes, NAMES[:2], tuple("abcd"), groups=groups.tolist(), **more)
        found = judged(table, group_by=more.get("group_name", ""), importances=True)
        return found.accuracy, found.matthews, found.calibration, found.importances

    for name in ("image", "slide"):
        assert scores(rows, classes, images, group_name=name) == scores(
            rows[order], classes[order], images[order], group_name=name
        )
