"""The same on Debian 13, whose erasers and kernel are newer."""

from __future__ import annotations

from .test_data_destruction import (
    test_a_disk_that_fails_or_lies_gets_no_certificate,
    test_a_medium_of_each_kind_is_blank_from_end_to_end,
)

HOST = "media2"
__all__ = ["test_a_disk_that_fails_or_lies_gets_no_certificate", "test_a_medium_of_each_kind_is_blank_from_end_to_end"]
