"""Sphinx settings. The pages load nothing from elsewhere, and build without a network."""

# ruff: noqa: INP001  a script, no package

from __future__ import annotations

from dvc_branchflow import __version__

project = "dvc-branchflow"
release = __version__
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nitpicky = True
html_theme = "furo"
html_title = f"dvc-branchflow {__version__}"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}
