"""The report of the joins."""

from bench.join.run import Join, report


def test_the_targets_are_about_the_first_frame() -> None:
    joins = [Join(answered=10.0 * number, connected=11.0 * number, shown=12.0 * number) for number in range(1, 31)]
    part = report(joins)
    assert [row[1:] for row in part.tables[0].rows] == [
        ("150", "290", "300"),
        ("165", "319", "330"),
        ("180", "348", "360"),
    ]
    assert [(target.measured, target.at_most, target.met) for target in part.targets] == [
        (180.0, 200.0, True),
        (348.0, 400.0, True),
    ]
