"""Decides under which release a model file is served."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import yaml

CARD = Path("MODEL_CARD.md")


def tag_of(model: bytes) -> str:
    """Return the release of a model file: BRANCHFLOW_TAG, else what MODEL_CARD.md says of it.

    The card counts if it names this very file; after a new run it is still that of the release
    before. Empty: neither says.
    """
    said, found = os.environ.get("BRANCHFLOW_TAG", ""), card_tag(model)
    if said and found and said != found:
        print(f"caution: BRANCHFLOW_TAG is {said}, {CARD} says {found}", file=sys.stderr)
    return said or found


def card_tag(model: bytes) -> str:
    """Return the release that the model card is of, if it names the file; else nothing."""
    if not CARD.is_file():
        return ""
    parts = CARD.read_text(encoding="utf-8").split("---\n", 2)
    if len(parts) < 3 or hashlib.md5(model, usedforsecurity=False).hexdigest() not in parts[2]:
        return ""
    card = yaml.safe_load(parts[1])
    return f"{card['model_name']}@{card['version']}"
