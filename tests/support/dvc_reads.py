"""What plain DVC has to say of a flow's two releases, wherever it is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.flow import FIRST_TAG, SECOND_TAG

if TYPE_CHECKING:
    from tests.support.repos import Shell

TAGS = (FIRST_TAG, SECOND_TAG)


def shown(sh: Shell, *scope: str) -> dict[str, dict[str, Any]]:
    """What `dvc exp show` knows of the revs that have a name, and of the experiments on them."""
    found: dict[str, dict[str, Any]] = {}
    for row in json.loads(sh.dvc("exp", "show", "--json", *scope)):
        ranges = row["experiments"] or []
        every = [row, *(rev for group in ranges for rev in group["revs"])]
        found |= {rev["name"]: rev["data"] for rev in every if rev["name"]}
    return found


def check_releases(sh: Shell) -> None:
    """Plain DVC shows both releases with their pins, and what differs between them.

    Metrics, params and plots are in Git, so that no data has to be here.
    """
    pins = {tag: pins_at(sh, tag) for tag in TAGS}
    for scope in ("-T", "-A"):
        runs = shown(sh, scope)
        assert {tag: runs[tag]["params"]["pins.yaml"]["data"] for tag in TAGS} == pins
        rows = [runs[tag]["metrics"]["metrics.json"]["data"]["rows"] for tag in TAGS]
        assert rows[0] < rows[1]
    metrics = json.loads(sh.dvc("metrics", "diff", "--json", *TAGS))
    assert metrics["metrics.json"]["rows"]["diff"] == rows[1] - rows[0]
    params = json.loads(sh.dvc("params", "diff", "--json", *TAGS))
    old, new = (pins[tag]["split"] for tag in TAGS)
    assert params == {"pins.yaml": {"split": {"old": old, "new": new}}}
    plots = json.loads(sh.dvc("plots", "diff", "--json", *TAGS))
    (plot,) = plots["data"]["plots/errors.csv"]
    assert plot["revisions"] == list(TAGS)
    values = plot["content"]["data"]["values"]
    assert {row["rev"] for row in values} == set(TAGS)


def pins_at(sh: Shell, rev: str) -> dict[str, str]:
    """What `pins.yaml` says at a rev without a sample."""
    lines = sh.git("show", f"{rev}:pins.yaml").splitlines()
    return dict(line.split(": ", 1) for line in lines)


def check_plots_page(sh: Shell) -> None:
    """`dvc plots diff` writes a page that loads nothing from elsewhere, given a template."""
    template = sh.cwd.parent / "plots.html"
    template.write_text("<html>{plot_divs}</html>", encoding="utf-8")
    sh.dvc("plots", "diff", "-q", *TAGS, "-o", sh.cwd.parent / "page", "--html-template", template)
    page = (sh.cwd.parent / "page" / "index.html").read_text(encoding="utf-8")
    assert "plots/errors.csv" in page
    assert "<script src" not in page
    assert not sh.git("status", "--porcelain")
