"""The estimate for viewers without transport-wide feedback: REMB, loss, and trials of more."""

from stagebook.media.rtc.congestion.report_estimate import FIRST_TRIAL_WAIT_SECONDS, TRIAL_SECONDS, ReportEstimate


def report(estimate: ReportEstimate, *, loss: float, bitrate_bps: int, seconds: int, start: int = 0) -> None:
    """Report once a second that so much was sent, and that a share of its packets was lost."""
    packets = bitrate_bps // 8000
    for second in range(start, start + seconds):
        lost = round(packets * loss)
        estimate.receive_losses(packets - lost, lost, bitrate_bps // 8 * second, float(second))


def test_without_remb_and_loss_there_is_no_estimate() -> None:
    estimate = ReportEstimate()
    report(estimate, loss=0.0, bitrate_bps=1_000_000, seconds=10)
    assert estimate.bitrate_bps is None


def test_a_full_line_is_found_by_its_loss() -> None:
    estimate = ReportEstimate()
    report(estimate, loss=0.6, bitrate_bps=2_500_000, seconds=4)
    assert estimate.bitrate_bps is not None
    assert 900_000 < estimate.bitrate_bps < 1_100_000


def test_random_loss_is_none() -> None:
    estimate = ReportEstimate()
    report(estimate, loss=0.05, bitrate_bps=2_500_000, seconds=20)
    assert estimate.bitrate_bps is None


def test_it_grows_again_up_to_one_and_a_half_times_of_what_is_sent() -> None:
    estimate = ReportEstimate()
    report(estimate, loss=0.6, bitrate_bps=2_500_000, seconds=4)
    report(estimate, loss=0.0, bitrate_bps=800_000, seconds=40, start=100)
    assert estimate.bitrate_bps == 1_200_000


def test_remb_is_a_limit() -> None:
    estimate = ReportEstimate()
    estimate.receive_maximum(700_000, 1.0)
    assert estimate.bitrate_bps == 700_000
    estimate.receive_maximum(1 << 80, 2.0)
    assert estimate.bitrate_bps == 50_000_000
    estimate.receive_maximum(0, 3.0)
    assert estimate.bitrate_bps == 30_000


def test_more_is_tried_and_kept_if_nothing_is_lost() -> None:
    estimate = ReportEstimate()
    report(estimate, loss=0.6, bitrate_bps=2_500_000, seconds=4)
    report(estimate, loss=0.0, bitrate_bps=500_000, seconds=10, start=20)
    assert estimate.may_try(1_700_000, 30.0)
    assert estimate.bitrate_bps == 1_700_000
    assert not estimate.may_try(2_500_000, 31.0)
    estimate.handle_timers(30.0 + TRIAL_SECONDS)
    assert estimate.bitrate_bps == 1_700_000


def test_a_trial_that_fails_ends_and_the_next_one_waits_longer() -> None:
    estimate = ReportEstimate()
    report(estimate, loss=0.6, bitrate_bps=2_500_000, seconds=4)
    report(estimate, loss=0.0, bitrate_bps=500_000, seconds=10, start=20)
    assert estimate.may_try(1_700_000, 30.0)
    estimate._octets, estimate._reported_at = 0, 30.0
    report(estimate, loss=0.4, bitrate_bps=1_700_000, seconds=2, start=31)
    assert estimate.bitrate_bps is not None
    assert estimate.bitrate_bps < 1_700_000
    assert not estimate.may_try(1_700_000, 33.0 + FIRST_TRIAL_WAIT_SECONDS / 2)
