"""What came in, and what was thrown away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dvc_branchflow.cli.text import count, local_time, short, size, table
from dvc_branchflow.ingest import IngestOutcome
from dvc_branchflow.rejects import Rejects

_SHOWN = 8


def ingested(outcome: IngestOutcome, *, applied: bool) -> str:
    """What an ingest appended, or would append."""
    place = f"{outcome.branch}/{outcome.partition}" if outcome.partition else outcome.branch
    what = f"{count(len(outcome.added), 'file')}, {size(outcome.added_bytes)}"
    lines = [f"{'appended' if applied else 'would append'} {what} to {place}"]
    if not outcome.added:
        lines = [f"nothing new for {place}"]
    if outcome.commit:
        lines[0] += f" in {short(outcome.commit)}"
    if outcome.present:
        lines.append(f"  already there: {count(len(outcome.present), 'file')}")
    if outcome.duplicates:
        names = ", ".join(outcome.duplicates[:_SHOWN])
        lines.append(f"  same content as another file, stored once: {names}")
    return "\n".join(lines)


def rejects(found: Sequence[Rejects], *, why: bool) -> str:
    """What each run of the cleaning kept and rejected, and on request why."""
    if not found:
        return "no report of a cleaning yet"
    lines = [
        table(
            (
                (
                    local_time(row.when), short(row.commit), row.report,
                    f"{row.kept:,} of {row.rows:,}", f"{row.files_kept:,} of {row.files:,}",
                    "" if row.is_current else "replaced since",
                )
                for row in found
            ),
            ("when", "commit", "report", "rows kept", "files kept", ""),
        )
    ]  # fmt: skip
    if why:
        reasons: Counter[str] = Counter()
        for row in found:
            reasons.update(row.reasons if row.is_current else {})
        lines.append("now, over all partitions:")
        rows = [(f"  {count:,}", reason) for reason, count in reasons.most_common()]
        lines.append(table(rows) or "  nothing was rejected")
    return "\n".join(lines)
