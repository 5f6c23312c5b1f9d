from __future__ import annotations

from importlib import metadata

from tests.support.plain import pinned_requirements


def test_pins_cover_what_dvc_needs_in_the_installed_versions() -> None:
    pins = pinned_requirements(["dvc", "dvc-s3"])
    assert f"dvc=={metadata.version('dvc')}" in pins
    assert f"s3fs=={metadata.version('s3fs')}" in pins
    assert not [pin for pin in pins if pin.startswith("dvc-branchflow")]
