"""`storage usage` and `storage lease`: what lies where, for whom, and what would be free."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import branchflow, says
from tests.support.depot import Depot, lay_depot
from tests.support.repos import Shell
from tests.support.rows import DATA, garbage


@pytest.fixture
def depot(tmp_path: Path, sh: Shell) -> Depot:
    return lay_depot(tmp_path / "team", sh, remotes=("store", "mirror"))


def result(depot: Depot, *args: str) -> Any:
    done = branchflow(depot.sh, "--json", "storage", *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["result"]


def release(depot: Depot) -> str:
    """Two versions of one file on raw, with the first of them released from stable."""
    depot.branch("raw")
    oid = depot.point("data/raw/a.csv", "1234")
    depot.commit()
    depot.push("raw")
    depot.branch("stable/x", "raw")
    depot.point("model.csv", "12345678")
    depot.commit()
    depot.sh.git("tag", "-a", "x@v1.0.0", "-m", "x")
    depot.push("stable/x", "x@v1.0.0")
    depot.point("model.csv", "1234567890")
    depot.commit()
    depot.push("stable/x")
    depot.sh.git("switch", "--quiet", "raw")
    depot.point("data/raw/a.csv", "12")
    depot.commit()
    depot.push("raw")
    return oid


def test_usage_says_who_holds_what_and_what_each_would_free(depot: Depot) -> None:
    oid = release(depot)
    depot.file("1234", depot.base / "mirror")
    garbage(depot)
    found = result(depot, "usage")
    rows = {row["name"]: row for row in found["holders"]}
    sizes = {
        name: [row[what]["size_bytes"] for what in ("tip", "history", "frees")]
        for name, row in rows.items()
    }
    # The first raw file lies on two remotes: 8 bytes. stable was born from that commit.
    assert sizes["raw"] == [2, 2 + 8, 2]
    assert sizes["stable/x"] == [8 + 10, 8 + 8 + 10, 10]
    assert sizes["x@v1.0.0"] == [8 + 8, 8 + 8, 0]
    assert (rows["x@v1.0.0"]["kind"], rows["raw"]["role"]) == ("release", "raw")
    roles = {row["role"]: row["frees"]["size_bytes"] for row in found["roles"]}
    assert roles == {"main": 0, "raw": 2, "stable": 10}
    assert found["duplicates"] == {"objects": 1, "size_bytes": 8}
    remotes = {row["remote"]: row for row in found["remotes"]}
    assert remotes["mirror"]["held"] == {"objects": 1, "size_bytes": 4}
    assert remotes["store"]["unneeded"] == found["unneeded"]
    assert found["unneeded"]["objects"] == 6
    assert not found["unknown"]
    shown = branchflow(depot.sh, "storage", "usage", "--price", "1073741824").stdout
    assert "stable/x  stable   18 B" in shown
    assert "10.00" in shown
    traced = result(depot, "usage", "--object", oid)
    assert {copy["remote"] for copy in traced["copies"]} == {"store", "mirror"}
    assert [use["path"] for use in traced["uses"]] == ["data/raw/a.csv"]
    assert traced["uses"][0]["branches"] == ["raw", "stable/x"]
    assert traced["uses"][0]["releases"] == ["x@v1.0.0"]
    assert traced["uses"][0]["origins"][0]["author"] == "Test Person <test@example.com>"


def test_a_file_in_a_directory_is_traced_to_every_path(depot: Depot) -> None:
    depot.branch("raw")
    depot.point("data/raw/tree", DATA)
    depot.commit()
    depot.point("data/raw/other", {"copy.csv": DATA["one.csv"]})
    second = depot.commit()
    oid = depot.file(DATA["one.csv"])
    uses = result(depot, "usage", "--object", oid)["uses"]
    assert [use["path"] for use in uses] == ["data/raw/other/copy.csv", "data/raw/tree/one.csv"]
    assert [origin["commit"] for origin in uses[0]["origins"]] == [second]
    assert (
        "nothing needs it" in branchflow(depot.sh, "storage", "usage", "--object", "0" * 32).stdout
    )


def test_a_lease_covers_what_only_this_clone_has_and_can_be_ended(depot: Depot) -> None:
    depot.branch("raw")
    depot.point("data/raw/pushed.csv", "pushed")
    depot.commit()
    depot.push("raw")
    assert result(depot, "lease") == {"remotes": ["store", "mirror"], "objects": 0, "until": ""}
    depot.point("data/raw/tree", DATA)
    oid = depot.point("data/raw/a.csv", "uncommitted")
    before = depot.sh.git("status", "--porcelain")
    made = result(depot, "lease", "--for", "2d")
    assert made["objects"] == 3  # pushed.csv's pointer lies in the checkout, too
    header = next((depot.store / "branchflow/leases").glob("*.json"))
    lease = json.loads(header.read_text(encoding="utf-8"))
    listed = (depot.store / lease["list"]).read_text(encoding="utf-8").split()
    assert oid in listed
    assert lease["who"] == "Test Person <test@example.com>"
    assert depot.sh.git("status", "--porcelain") == before
    result(depot, "lease")
    assert len(list((depot.store / "branchflow/leases").glob("*/*.txt"))) == 1
    assert result(depot, "lease", "--end")["until"] == ""
    assert not [path for path in (depot.store / "branchflow").rglob("*") if path.is_file()]


def test_an_url_with_a_password_is_leased_without_it(depot: Depot) -> None:
    depot.point("a.csv", "uncommitted")
    url = f"file://{depot.origin}"
    depot.sh.git("remote", "set-url", "origin", url)
    depot.sh.git("config", f"url.{url}.insteadOf", "https://me:secret@example.com/x")
    depot.sh.git("remote", "set-url", "origin", "https://me:secret@example.com/x")
    result(depot, "lease")
    texts = [path.read_text("utf-8") for path in depot.store.rglob("*.json")]
    assert texts
    assert not [text for text in texts if "secret" in text]


def test_a_lease_of_what_cant_be_named_is_refused(depot: Depot) -> None:
    depot.write("a.csv.dvc", "half wri")
    done = branchflow(depot.sh, "storage", "lease")
    assert done.returncode == 3
    assert "not all known" in says(done)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["usage", "--object", "xyz"], 3, "is not a DVC object id"),
        (["lease", "--for", "soon"], 2, "is no period"),
        ([], 2, "required"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_line(
    depot: Depot, args: list[str], code: int, message: str
) -> None:
    done = branchflow(depot.sh, "storage", *args)
    assert done.returncode == code
    assert message in says(done)
