"""What must hold of a model file: the same bytes each time, no code run on loading, its origin."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from src import origin, stored

POINTS = np.random.default_rng(1).normal(size=(200, 3))
LABELS = np.where(POINTS[:, 0] > 0, "yes", "no").astype(object)


class Own(BaseEstimator):
    """A type that nobody has said they trust."""


class Trap:
    """A pickle that makes a file when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("sprung"),)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BRANCHFLOW_TAG", raising=False)


def saved(model: object) -> bytes:
    """Return what `save` writes of a model."""
    path = Path("models/m.skops")
    stored.save(model, path)
    return path.read_bytes()


@pytest.mark.parametrize("kind", [LogisticRegression, HistGradientBoostingClassifier])
def test_a_model_comes_back_as_it_was(kind: type) -> None:
    model = make_pipeline(kind()).fit(POINTS, LABELS)
    again = stored.load(saved(model))
    assert (again.predict_proba(POINTS) == model.predict_proba(POINTS)).all()
    assert again.classes_.tolist() == ["no", "yes"]


def test_neither_addresses_nor_dates_are_in_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []  # so that the addresses differ
    files = set()
    for seconds in (10**9, 2 * 10**9):
        monkeypatch.setattr(zipfile.time, "time", lambda now=seconds: now)
        kept.append(HistGradientBoostingClassifier(random_state=1).fit(POINTS, LABELS))
        files.add(saved(kept[-1]))
    assert len(files) == 1


def test_a_type_that_is_not_trusted_can_be_neither_saved_nor_loaded() -> None:
    with pytest.raises(ValueError, match=r"TRUSTED in src/stored\.py lacks .*Own"):
        saved(make_pipeline(Own()))
    with pytest.raises(TypeError, match="Own"):
        stored.load(stored.dumps(Own()))


def test_a_pickle_is_not_loaded() -> None:
    with pytest.raises(zipfile.BadZipFile):
        stored.load(pickle.dumps(Trap()))
    assert not Path("sprung").exists()


def test_only_the_card_of_this_very_file_says_its_release(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert origin.tag_of(b"a model") == ""
    md5 = hashlib.md5(b"a model").hexdigest()
    card = f"---\nmodel_name: m\nversion: v1.0.0\n---\n\n| `models/m.skops` | `{md5}` |\n"
    origin.CARD.write_text(card, encoding="utf-8")
    assert origin.tag_of(b"a model") == "m@v1.0.0"
    assert origin.tag_of(b"a later model") == ""
    monkeypatch.setenv("BRANCHFLOW_TAG", "m@v1.0.0")
    assert origin.tag_of(b"a later model") == "m@v1.0.0"
    assert not capsys.readouterr().err
    monkeypatch.setenv("BRANCHFLOW_TAG", "m@v2.0.0")
    assert origin.tag_of(b"a model") == "m@v2.0.0"
    assert "MODEL_CARD.md says m@v1.0.0" in capsys.readouterr().err
    origin.CARD.write_text(f"A card without front matter, of {md5}.", encoding="utf-8")
    assert origin.card_tag(b"a model") == ""
