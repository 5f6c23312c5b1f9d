"""The command `git branchflow`: parses, calls one verb, hands the value to one renderer."""

from __future__ import annotations

from dvc_branchflow.cli.run import entry, main

__all__ = ["entry", "main"]
