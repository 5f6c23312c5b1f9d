"""The least that each job can cost: the same reads and writes in bare Python, with no safety.

Runs alone (`python -I -S floors.py JOB …`), so that the start of a process counts as it does for
the others.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def ingest(inbox: str, repo: str, store: str, oid: str) -> str:
    """Hash and copy each file twice, and rewrite the manifest; return the manifest's new oid."""
    roots = [Path(repo, ".dvc/cache/files/md5"), Path(store, "files/md5")]
    entries = json.loads(_object(roots[0], oid).read_bytes())
    for file in sorted(Path(inbox).iterdir()):
        content = file.read_bytes()
        md5 = hashlib.md5(content).hexdigest()
        _put(roots, md5, content)
        entries.append({"md5": md5, "relpath": file.name})
    entries.sort(key=lambda entry: entry["relpath"])
    manifest = json.dumps(entries, sort_keys=True).encode()
    new = hashlib.md5(manifest).hexdigest() + ".dir"
    _put(roots, new, manifest)
    return new


def pin(repo: str, upstream: str, pointer: str, *branches: str) -> str:
    """Read all that counts in one `cat-file`, write all merges in one `fast-import`."""
    asked = [upstream, f"{upstream}:{pointer}"]
    asked += [name for b in branches for name in (b, f"{b}:pins.yaml", f"{b}:{pointer}")]
    found = _cat_file(repo, asked)
    new, content = found[0][0], found[1][1]
    script = []
    for place, branch in enumerate(branches):
        tip = found[2 + 3 * place][0]
        pins = f"{upstream}: {new}\n".encode()
        script += [
            f"commit refs/heads/{branch}\ncommitter b <b> now\ndata 3\npin\n".encode(),
            f"from {tip}\nmerge {new}\nM 644 inline pins.yaml\ndata {len(pins)}\n".encode(),
            pins + f"M 644 inline {pointer}\ndata {len(content)}\n".encode() + content + b"\n",
        ]
    command = ["git", "fast-import", "--quiet", "--date-format=now"]
    subprocess.run(command, cwd=repo, input=b"".join(script), check=True)
    return new


def status(repo: str) -> str:
    """Read all refs, and at each of them pins and lock, in two git processes."""
    layout = "--format=%(objectname)"
    listed = ["git", "for-each-ref", layout, "refs/heads", "refs/remotes", "refs/tags"]
    tips = subprocess.run(listed, cwd=repo, capture_output=True, check=True, text=True).stdout
    asked = [f"{sha}:{name}" for sha in set(tips.split()) for name in ("pins.yaml", "dvc.lock")]
    return str(len(_cat_file(repo, asked)))


def storage(repo: str, store: str) -> str:
    """Walk the history, read each pointer and manifest once, list the DVC remote; say what goes."""
    walk = ["git", "rev-list", "--all", "--objects"]
    lines = subprocess.run(walk, cwd=repo, capture_output=True, check=True).stdout.splitlines()
    pointers = [line[:40].decode() for line in lines if line.endswith(b".dvc")]
    text = b"".join(content for _, content in _cat_file(repo, pointers))
    needed = set(re.findall(rb"md5: ([0-9a-f]{32}(?:\.dir)?)", text))
    root = Path(repo, ".dvc/cache/files/md5")
    for oid in [oid.decode() for oid in needed if oid.endswith(b".dir")]:
        needed.update(re.findall(rb'"md5": "([0-9a-f]{32})"', _object(root, oid).read_bytes()))
    unneeded = 0
    for folder in os.scandir(Path(store, "files/md5")):
        for item in os.scandir(folder.path):
            oid = (folder.name + item.name).encode()
            unneeded += item.stat().st_size if oid not in needed else 0
    return str(unneeded)


def copy(cache: str, target: str) -> str:
    """Read, hash and write every file of a folder."""
    count = 0
    for folder, _, names in os.walk(cache):
        to = Path(target, os.path.relpath(folder, cache))
        to.mkdir(parents=True)
        for name in names:
            with Path(folder, name).open("rb") as source, (to / name).open("wb") as file:
                digest = hashlib.md5()
                while chunk := source.read(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
            count += 1
    return str(count)


def place(folder: str, dvc: str) -> str:
    """Look at every file of a folder, and link a hundred out of the cache somewhere else."""
    seen = sum(item.stat(follow_symlinks=False).st_size for item in os.scandir(folder))
    objects = list(Path(dvc, "cache/files/md5").glob("*/*"))[:100]
    target = Path(dvc, "tmp", f"floor-{os.getpid()}")
    target.mkdir(parents=True)
    for number, file in enumerate(objects):
        os.link(file, target / str(number))
    return str(seen)


def _cat_file(repo: str, asked: Sequence[str]) -> list[tuple[str, bytes]]:
    command = ["git", "cat-file", "--batch"]
    text = "".join(f"{name}\n" for name in asked).encode()
    output = subprocess.run(command, cwd=repo, input=text, capture_output=True, check=True).stdout
    found: list[tuple[str, bytes]] = []
    position = 0
    while position < len(output):
        end = output.index(b"\n", position)
        header = output[position:end].decode().split()
        if header[-1] == "missing":
            found.append(("", b""))
            position = end + 1
            continue
        size = int(header[2])
        found.append((header[0], output[end + 1 : end + 1 + size]))
        position = end + size + 2
    return found


def _object(root: Path, oid: str) -> Path:
    return root / oid[:2] / oid[2:]


def _put(roots: Sequence[Path], oid: str, content: bytes) -> None:
    for root in roots:
        target = _object(root, oid)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


if __name__ == "__main__":
    jobs: dict[str, Callable[..., str]] = {
        job.__name__: job for job in (copy, ingest, pin, place, status, storage)
    }
    print(jobs[sys.argv[1]](*sys.argv[2:]))
