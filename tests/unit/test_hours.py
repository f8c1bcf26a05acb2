"""Weekly ranges of local time: what they cover, and how systemd is told of them."""

from __future__ import annotations

from datetime import datetime

from pgssi.site.hours import DAY, WEEK, calendars, in_words, length, minute_of, minutes


def test_a_range_ends_before_its_end() -> None:
    """The first minute belongs to a range, the minute of its end does not."""
    covered = minutes([{"days": ["mon"], "starts": "08:00", "ends": "09:00"}])
    assert min(covered) == 480 and max(covered) == 539


def test_a_range_may_pass_midnight_and_the_end_of_the_week() -> None:
    """Sunday evening goes on into Monday morning."""
    covered = minutes([{"days": ["sun"], "starts": "23:00", "ends": "01:00"}])
    assert covered == {*range(6 * DAY + 23 * 60, WEEK), *range(60)}


def test_without_days_every_day_counts() -> None:
    """Equal ends are a whole day, and so the whole week."""
    assert len(minutes([{"starts": "02:00", "ends": "02:00"}])) == WEEK
    assert length({"starts": "02:00", "ends": "02:00"}) == DAY


def test_a_moment_in_the_week() -> None:
    """A local time has its minute of the week, and its words."""
    moment = datetime(2026, 11, 29, 19, 24)  # a Sunday
    assert in_words(minute_of(moment)) == "sun 19:24"


def test_systemd_words() -> None:
    """Days and time as systemd.time(7) has them."""
    ranges = [{"days": ["tue", "thu"], "starts": "02:30", "ends": "04:00"}]
    assert calendars(ranges) == ["Tue,Thu *-*-* 02:30:00"]
