"""The roles' rules: pure functions over outs and paths that return violations as data."""

from __future__ import annotations

from dvc_branchflow.policy.results import judge_result

__all__ = ["judge_result"]
