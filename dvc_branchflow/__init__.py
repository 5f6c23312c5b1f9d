"""Branches are all you need: data, code, models and records as one flow on plain Git and DVC."""

__version__ = "0.1.0"
