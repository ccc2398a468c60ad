"""What a bench draws: nothing of what was measured may be lost on the way to the page."""

import pytest

from scripts.benches.series import Curve, Distribution, Line


class TestADistribution:
    def test_counts_every_sample_in_exactly_one_bin(self):
        values = [0.0, 0.001, 0.5, 1.0, 1.0, 7.0, 250.0]
        bins = Distribution(what="x", values=values).histogram()
        assert sum(count for _, _, count in bins) == len(values)
        assert bins[-1][1] == pytest.approx(250)
        assert all(low < high for low, high, _ in bins)

    def test_of_equal_samples_is_one_bin(self):
        assert Distribution(what="x", values=[3.0, 3.0]).histogram() == [(3.0, 3.0, 2)]

    def test_claims_no_percentile_finer_than_its_samples(self):
        shares = [
            share for share, _ in Distribution(what="x", values=[float(n) for n in range(100)]).percentiles()
        ]
        assert 0.99 in shares
        assert 0.999 not in shares
        assert shares[-1] == 1

    def test_ends_with_the_largest_sample(self):
        assert Distribution(what="x", values=[2.0, 9.0, 4.0]).percentiles()[-1] == (1.0, 9.0)

    def test_keeps_no_samples_in_the_report(self):
        document = Distribution(what="x", values=[1.0] * 10_000).document()
        assert document["count"] == 10_000
        assert len(str(document)) < 2_000


class TestACurve:
    def test_says_which_line_is_the_models(self):
        lines = [
            Line(name="measured", points=[(1, 2.0)]),
            Line(name="model", points=[(1, 2.1)], is_model=True),
        ]
        document = Curve(what="accepts", x="API processes", lines=lines).document()
        assert [(line["name"], line["is_model"]) for line in document["lines"]] == [
            ("measured", False),
            ("model", True),
        ]
