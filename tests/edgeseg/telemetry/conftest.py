"""A real broker for whoever tells it something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Broker, why_no_broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if (why_not := why_no_broker()) is not None:
        pytest.skip(why_not)
    with Broker(tmp_path) as broker:
        yield broker
