"""Writes the model card of a release, from its record."""

from __future__ import annotations

import json
from collections.abc import Collection

from dvc_branchflow.work.records import RunRecord


def model_card(record: RunRecord, evaluated: Collection[str]) -> str:
    """The model card: Markdown with the front matter that Hugging Face's hub reads.

    Args:
        evaluated: paths of the weights whose scores the metrics are.
    """
    metrics = "\n".join(
        f"| {name} | {value:.6g} |" for name, value in record.flat_metrics().items()
    )
    pins = "\n".join(f"| {name} | `{sha}` |" for name, sha in record.pins.items())
    shipped = {path for path, fields in record.outs.items() if "sha256" in fields}
    params = json.dumps(record.params, indent=2, sort_keys=True)
    certificate = f"`{record.certificate}`" if record.certificate else "none"
    looks = record.test.get("looks", 0)
    return f"""---
library_name: scikit-learn
tags: [dvc-branchflow]
model_name: {record.model}
version: {record.version}
---

# {record.model} {record.version}

Two sets of weights come out of a release. One was evaluated, once, on the test side; the scores are
its own. The other one ships: the same code, fitted on all data, the test side as well, so that no
score on that side can be its own.

## Evaluated weights

| out | md5 | bytes |
|---|---|---|
{_weights(record, set(evaluated) - shipped)}

| metric | value |
|---|---|
{metrics}

Split certificate: {certificate}. Looks at this test side by this model so far: {looks}.

## Shipped weights

| out | md5 | bytes |
|---|---|---|
{_weights(record, shipped)}

They carry no test score.

## Data

| pinned branch | commit |
|---|---|
{pins}

## Params

```json
{params}
```
"""


def _weights(record: RunRecord, paths: Collection[str]) -> str:
    rows = {path: record.outs[path] for path in sorted(paths) if path in record.outs}
    return "\n".join(
        f"| `{path}` | `{fields['md5']}` | {fields.get('size', '')} |"
        for path, fields in rows.items()
    )
