"""Asking for, drawing and taking back a camera's path over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeseg.server.corridor_routes import LARGEST_CORRIDOR
from tests.edgeseg.server.live import PathSite

TRIANGLE = [[0.2, 1.0], [0.5, 0.5], [0.8, 1.0]]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PathSite]:
    with PathSite(tmp_path / "state") as site:
        yield site


def test_draw_and_take_back(site: PathSite) -> None:
    none = {"corridor": None, "drawn": False, "person_in_path": False}
    assert site.get("/api/corridors").json == {"cameras": {"front": none}, "kept": True}
    answer = site.change("PUT", {"corridor": TRIANGLE})
    assert answer.status == 200
    drawn = {"corridor": TRIANGLE, "drawn": True, "person_in_path": False}
    assert answer.json == site.get("/api/corridors").json == {"cameras": {"front": drawn}, "kept": True}
    assert site.change("DELETE").json == {"cameras": {"front": none}, "kept": True}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", 'a path is written {"corridor": [[x, y], ...]}'),
        ("[" * 8000, 'a path is written {"corridor": [[x, y], ...]}'),
        ([], 'a path is written {"corridor": [[x, y], ...]}'),
        ({"corridor": None}, "the path is no polygon; write 3 to 64 points such as [[0.2, 1], [0.5, 0.5], [0.8, 1]]"),
        (
            {"corridor": [[0, 0], [1, 1], [1, 2]]},
            "the path is no polygon: point 3 must be [x, y] with x and y from 0 to 1",
        ),
        (
            {"corridor": [[0, 0], [1, 1], [1, 0], [0, 1]]},
            "the path crosses or touches itself: edge 1 meets edge 3; go around the area once",
        ),
    ],
)
def test_what_is_no_path_is_refused_with_the_reason(site: PathSite, body: object, says: str) -> None:
    answer = site.change("PUT", body)
    assert (answer.status, answer.body.decode()) == (400, says + "\n")
    assert site.corridors.snapshot()["front"].corridor is None


def test_others_are_kept_out(site: PathSite) -> None:
    assert site.change("PUT", {"corridor": TRIANGLE}, Origin="http://elsewhere.example").status == 403
    assert site.change("DELETE", Origin="http://elsewhere.example").status == 403
    assert site.change("PUT", {"corridor": TRIANGLE}, camera="rear").status == 404
    assert site.change("PUT", " " * (LARGEST_CORRIDOR + 1)).status == 413
    assert site.corridors.snapshot()["front"].corridor is None


def test_it_is_for_whoever_is_logged_in(tmp_path: Path) -> None:
    with PathSite(tmp_path, token="a-token-of-16-and-more") as site:
        assert site.change("PUT", {"corridor": TRIANGLE}).status == 401
        assert site.change("PUT", {"corridor": TRIANGLE}, Authorization="Bearer a-token-of-16-and-more").status == 200


def test_a_disk_that_does_not_take_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with PathSite(tmp_path / "file" / "state") as site:
        answer = site.change("PUT", {"corridor": TRIANGLE})
        assert (answer.status, answer.body.decode()) == (507, "it cannot be kept: not a directory\n")
        assert site.corridors.snapshot()["front"].corridor is None
