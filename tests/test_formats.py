from __future__ import annotations

import pytest

from localrl import formats


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.003, "0.00 s"),
        (0.994, "0.99 s"),
        (0.996, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (221, "3 min 41 s"),
        (599.4, "9 min 59 s"),
        (599.6, "10 min"),
        (3_569, "59 min"),
        (3_571, "1 h 0 min"),
        (4_320, "1 h 12 min"),
        (3_600_000, "1,000 h 0 min"),
    ],
)
def test_a_duration_has_its_two_largest_units_and_never_sixty_of_one(
    seconds: float | None, shown: str
) -> None:
    assert formats.duration(seconds) == shown


def test_a_slow_rate_is_not_rounded_to_none() -> None:
    rates = (None, 0.44, 9.94, 9.96, 214.4, 12_345.6)
    assert [formats.rate(rate) for rate in rates] == ["–", "0.44", "9.9", "10", "214", "12,346"]


def test_a_small_number_keeps_its_significant_digits_and_a_large_one_drops_its_fraction() -> None:
    values = (None, 0, 0.0042, -0.5, 1.25, 99.44, 1234.5)
    assert [formats.number(value) for value in values] == [
        "–",
        "0.0",
        "0.0042",
        "-0.5",
        "1.2",
        "99.4",
        "1,234",
    ]


def test_bytes_are_in_powers_of_two_and_rates_of_bytes_in_powers_of_ten() -> None:
    assert [formats.size(n) for n in (None, 0, 512 << 10, 260 << 20, 3 << 29, 2 << 40)] == [
        "–",
        "0 KiB",
        "512 KiB",
        "260 MiB",
        "1.5 GiB",
        "2,048.0 GiB",
    ]
    assert formats.part_of_size(1 << 29, 3 << 29) == "0.5 of 1.5 GiB"
    assert [formats.bandwidth(n) for n in (8.4e6, 95e6, 1008e9)] == ["8.4 MB/s", "95 MB/s", "1,008 GB/s"]


def test_shares_differences_and_intervals_are_in_percent() -> None:
    assert (formats.percent(0.789), formats.percent(None), formats.percent(0.5, 0)) == ("78.9 %", "–", "50 %")
    assert formats.interval(0.789, 0.71, 0.851) == "78.9 % (71.0–85.1)"
    assert formats.difference(-0.025, -0.06, 0.01) == "−2.5 (−6.0 to +1.0)"


def test_a_noun_is_singular_for_one_alone() -> None:
    assert [formats.count(n, "problem") for n in (0, 1, 2000)] == [
        "0 problems",
        "1 problem",
        "2,000 problems",
    ]
