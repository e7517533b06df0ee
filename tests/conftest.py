"""What all tests start from."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """A shell starts what runs in the background with SIGINT ignored, and so would be what the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
