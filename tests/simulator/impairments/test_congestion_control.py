"""A sender follows the capacity of its link."""

import numpy as np
import pytest

from agora_analytics.simulator.impairments.bandwidth import follow_capacity

SECONDS = 300


def series(value):
    return np.full(SECONDS, float(value))


def test_a_link_with_room_carries_what_is_wanted():
    rate = follow_capacity(series(800), series(20_000), series(0))
    assert (rate.kbps == 800).all()
    assert not rate.loss.any()
    assert not rate.queue.any()


def test_a_narrow_link_queues_then_drops_then_carries_less():
    capacity = series(5000)
    capacity[100:200] = 200
    rate = follow_capacity(series(800), capacity, series(0))
    assert rate.queue[100:103].max() == 600
    assert rate.loss[100:103].max() > 0.5
    assert rate.kbps[110:200].max() < 260
    assert rate.loss[110:200].mean() < 0.02
    assert rate.kbps[240:].min() == 800  # it has recovered


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.2, 0.9])
def test_more_loss_never_means_more_media(loss):
    rate = follow_capacity(series(800), series(20_000), series(loss))
    more = follow_capacity(series(800), series(20_000), series(min(loss + 0.1, 0.95)))
    assert more.kbps.mean() <= rate.kbps.mean()
    assert (rate.kbps <= 800).all()
    assert (rate.kbps >= 40).all()
    assert (rate.loss >= loss - 1e-12).all()


def test_loss_while_little_is_sent_does_not_reduce_the_rate_afterwards():
    """One lossy second while the video is muted: the rate after unmuting is 90 % of the wanted one or more."""
    wanted, loss = series(800), series(0)
    wanted[50:150] = 48
    loss[140] = 0.3
    rate = follow_capacity(wanted, series(20_000), loss)
    assert rate.kbps[150:].min() > 0.9 * 800


def test_the_queue_empties_after_the_capacity_falls():
    capacity = series(5000)
    capacity[100:] = 200
    rate = follow_capacity(series(800), capacity, series(0))
    assert rate.queue[100:105].max() > 300
    assert rate.queue[130:].max() < 200
