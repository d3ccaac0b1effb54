import numpy as np
import pytest
from sklearn import metrics

from objclass.evaluation.calibration import calibration_of
from objclass.evaluation.intervals import jackknife, quantile, wilson
from objclass.evaluation.scores import Scores, accuracy, confusions, matthews

NAMES = ("a", "b", "c")


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    given = random.choice(3, 300, p=[0.6, 0.3, 0.1]) + 1
    found = np.where(random.random(300) < 0.7, given, random.choice(3, 300) + 1)
    scores = Scores(confusions(given, found, np.arange(300) // 20, 3), NAMES)
    assert np.array_equal(scores.total, metrics.confusion_matrix(given, found))
    assert scores.accuracy().value == pytest.approx(metrics.accuracy_score(given, found))
    assert scores.balanced_accuracy().value == pytest.approx(metrics.balanced_accuracy_score(given, found))
    assert scores.f1().value == pytest.approx(metrics.f1_score(given, found, average="macro"))
    assert scores.matthews().value == pytest.approx(metrics.matthews_corrcoef(given, found))
    precision, recall, f1, objects = metrics.precision_recall_fscore_support(given, found)
    for k, one in enumerate(scores.by_class()):
        assert (one.precision.value, one.recall.value, one.f1.value) == pytest.approx(
            (precision[k], recall[k], f1[k])
        )
        assert one.objects == objects[k]
        for score in (one.precision, one.recall, one.f1):
            assert 0 <= score.low < score.value < score.high <= 1


def test_a_matrix_without_a_second_class_has_no_correlation():
    assert matthews(np.array([[5, 0], [0, 0]])) == 0


def test_classes_too_rare_have_counts_and_no_rates():
    given = np.array([1] * 30 + [2] * 9 + [3] * 20)
    groups = np.concatenate([np.arange(39) % 4, np.zeros(20, int)])  # the third class is in one group
    scores = Scores(confusions(given, given, groups, 3), NAMES)
    first, few, alone = scores.by_class()
    assert first.recall is not None
    assert (few.recall, few.precision, few.f1, few.correct) == (None, None, None, 9)
    assert (alone.recall, alone.objects, alone.images) == (None, 20, 1)
    assert scores.judged.tolist() == [0, 1]


def test_a_class_of_one_image_is_judged_by_a_classifier_that_knows_it():
    """Held-out images: there is no fold without it."""
    given = np.array([1] * 40 + [2] * 20)
    groups = np.concatenate([np.arange(40) % 4, np.zeros(20, int)])
    found = np.where(np.arange(60) % 10 == 0, 3 - given, given)
    scores = Scores(confusions(given, found, groups, 2), NAMES[:2], minimum=1)
    alone = scores.by_class()[1].recall
    assert alone.value == 0.9
    assert alone.high - alone.low > 0.5
    assert scores.balanced_accuracy().value == pytest.approx(0.9)
    one = Scores(confusions(given, found, np.zeros(60, int), 2), NAMES[:2], minimum=1).accuracy()
    assert np.isnan(one.low)  # of a single image, nothing says how others would be


def test_means_over_classes_are_of_those_that_can_be_judged():
    given = np.repeat([1, 2, 3], 20)
    groups = np.concatenate([np.arange(40) % 4, np.zeros(20, int)])
    found = np.where(given == 3, 1, given)
    counts = confusions(given, found, groups, 3)
    assert Scores(counts, NAMES).balanced_accuracy().value == 1
    assert np.isnan(Scores(counts[:, ::2, ::2], ("a", "c")).balanced_accuracy().value)


def test_the_jackknife_of_a_mean_is_its_variance():
    """For groups of equal size it is s²/n."""
    hits = np.random.default_rng(0).binomial(20, 0.7, 12)
    counts = np.zeros((12, 2, 2), int)
    counts[:, 0, 0], counts[:, 0, 1] = hits, 20 - hits
    value, variance = jackknife(accuracy, counts)
    assert value == hits.sum() / 240
    assert variance == pytest.approx((hits / 20).var(ddof=1) / 12)


def test_wilson_and_student_are_those_of_scipy():
    from scipy.stats import binomtest, t

    expected = binomtest(37, 50).proportion_ci(method="wilson")
    found = wilson(0.74, 50, np.inf)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert quantile(5) == pytest.approx(t.ppf(0.975, 5))


def test_independent_objects_without_a_mistake_have_the_interval_of_wilson():
    """All correct, each object a group of its own: from n / (n + t²) to 1."""
    given = np.tile([1, 2], 20)
    found = Scores(confusions(given, given, np.arange(40), 2), NAMES[:2]).by_class()[0].recall
    assert found.low == pytest.approx(20 / (20 + quantile(19) ** 2))
    assert found.high == 1


def test_recalls_that_make_up_for_each_other_are_not_certain():
    """A classifier that takes all of an image for one class: its balanced accuracy is 1/2 in each image."""
    counts = np.zeros((4, 2, 2), int)
    counts[:2, :, 0], counts[2:, :, 1] = 5, 5
    found = Scores(counts, NAMES[:2]).balanced_accuracy()
    assert found.value == 0.5
    assert found.high - found.low > 0.3


def test_alike_objects_count_less():
    random = np.random.default_rng(0)
    hits = np.repeat(random.random(10) < 0.7, 30)  # all objects of an image are right, or none
    given = np.tile([1, 2], 150)
    found = np.where(hits, given, 3 - given)
    apart = Scores(confusions(given, found, np.arange(300), 2), NAMES[:2]).accuracy()
    alike = Scores(confusions(given, found, np.arange(300) // 30, 2), NAMES[:2]).accuracy()
    assert alike.high - alike.low > 4 * (apart.high - apart.low)


@pytest.mark.parametrize("images", [6, 12, 40])
@pytest.mark.parametrize("share", [0.5, 0.08])
def test_intervals_cover_a_truth_that_is_known(images, share):
    """Recall varies among images (beta, so the truth is its mean): nine of ten intervals hold it, not all of them."""
    random = np.random.default_rng([images, int(share * 100)])
    truth = np.array([0.9, 0.75])
    covered = {"balanced": [], "common": [], "rare": []}
    for _ in range(300):
        recall = random.beta(8 * truth, 8 * (1 - truth), (images, 2))
        rare = random.binomial(30, share, images)
        objects = np.stack([30 - rare, rare], axis=1)
        hits = random.binomial(objects, recall)
        counts = np.zeros((images, 2, 2), int)
        counts[:, [0, 1], [0, 1]] = hits
        counts[:, [0, 1], [1, 0]] = objects - hits
        scores = Scores(counts, ("common", "rare"))
        found = scores.balanced_accuracy()
        covered["balanced"].append(found.low <= truth.mean() <= found.high)
        for one, true in zip(scores.by_class(), truth, strict=True):
            if one.recall is not None:
                covered[one.name].append(one.recall.low <= true <= one.recall.high)
    assert all(len(hits) > 100 for hits in covered.values())
    rates = {name: np.mean(hits) for name, hits in covered.items()}
    assert all(0.9 <= rate < 1 for rate in rates.values()), rates


def test_calibration():
    random = np.random.default_rng(0)
    chance = random.random(4000).astype(np.float32)
    probabilities = np.stack([chance, 1 - chance], axis=1)
    given = np.where(random.random(4000) < chance, 1, 2)
    found = calibration_of(probabilities, given)
    assert found.error < 0.03
    assert found.brier == pytest.approx(2 * metrics.brier_score_loss(given == 1, chance.astype(float)))
    assert sum(found.objects) == 4000
    assert found.objects[:5] == (0,) * 5
    bold = calibration_of(np.round(probabilities), given)
    assert bold.error > 0.2
    assert bold.objects[-1] == 4000


def test_a_probability_at_a_bound_is_in_the_bin_above():
    seven = np.float32(0.7)
    assert calibration_of(np.array([[seven, 1 - seven]]), np.array([1])).objects[7] == 1


def test_objects_that_are_counted_again_say_nothing_new():
    random = np.random.default_rng(0)
    given = random.choice(3, 100) + 1
    found = np.where(random.random(100) < 0.7, given, 1)
    counts = confusions(given, found, np.arange(100), 3)
    once, again = Scores(counts, NAMES), Scores(8 * counts, NAMES, repeats=8)
    assert np.array_equal(confusions(given, np.stack([found] * 8), np.arange(100), 3), 8 * counts)
    assert again.by_class(once.total) == once.by_class()
    for name in ("accuracy", "balanced_accuracy", "f1", "matthews"):
        one, other = (getattr(scores, name)() for scores in (once, again))
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
