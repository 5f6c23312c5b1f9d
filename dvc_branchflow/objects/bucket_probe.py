"""Finds out what a key may do in a bucket, by doing it to a file of its own; and how it is set up.

Objects go through obstore, as all of DVC's do here; what only S3 has (versions, Object Lock,
lifecycle, unfinished uploads) through botocore.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from dvc_branchflow.errors import BranchflowError
from dvc_branchflow.objects.asking import FOLDER, Asking, NotSoError, is_stale, new_key, verdict
from dvc_branchflow.objects.base import PREFIX
from dvc_branchflow.objects.files import md5
from dvc_branchflow.probed import Ability, Answer, Probed

Settings = Callable[[], tuple[Any, str, str]]
_KEPT = f"{FOLDER}/kept"  # written over and over where nothing can be deleted
_ONE, _TWO = b"a probe of branchflow\n", b"a probe of branchflow, again\n"
_READ = 20  # objects of which one is read
_NONE = frozenset({"NoSuchLifecycleConfiguration", "ObjectLockConfigurationNotFoundError"})
_YEAR_DAYS = 365.0

STEPS: Final[Mapping[Ability, str]] = {
    Ability.LIST: f"list '{PREFIX}' and '{FOLDER}'",
    Ability.GET: "read one object of DVC's, and what was written",
    Ability.PUT: f"write a small file below '{FOLDER}'",
    Ability.CREATE: "write it again on condition that it is not there",
    Ability.OVERWRITE: "write it again, and read it",
    Ability.PARTS: "write a file in one part of an upload in parts",
    Ability.DELETE: "delete what was written, with all its versions",
    Ability.FRESH: "list what was just written",
    Ability.MD5: "look what the server answers to a write",
    Ability.VERSIONS: "ask for the bucket's versioning",
    Ability.OLD_VERSIONS: "delete the versions of what was written",
    Ability.UPLOADS: f"list unfinished uploads below '{FOLDER}'",
    Ability.LOCK: "ask for the bucket's Object Lock",
    Ability.LIFECYCLE: "ask for the bucket's lifecycle rules",
    Ability.CLOCK: "compare the time of what was written with this machine's",
}


class BucketProbe:
    """A bucket to be tried out.

    Args:
        settings: opens botocore's client, with the bucket and what its keys begin with; None: the
            bucket is of a kind that has none.
    """

    steps = STEPS

    def __init__(self, store: Any, settings: Settings | None) -> None:
        self._store = store
        self._open_settings = settings
        self._asking = Asking(STEPS)
        self._written: list[str] = []
        self._left: dict[str, str] = {}
        self._lock_days: float | None = None
        self._lifecycle: Sequence[Mapping[str, Any]] | None = None
        self._skew: float | None = None

    def run(self) -> Probed:
        """Try everything, and take away what that left, and what a killed probe did."""
        ask = self._asking
        is_listed = ask.ask(Ability.LIST, self._list)
        if not is_listed and not ask.is_known(Ability.LIST):
            why = ask.facts()[Ability.LIST].said
            if "Skewed" in why:
                ask.note(Ability.CLOCK, Answer.NO, why)
            return Probed(ask.facts(why))
        settings = self._settings()
        if settings:
            self._ask_settings(*settings)
        key = new_key()
        key = key if self._can_delete(key) else _KEPT
        try:
            self._write(key)
        finally:
            self._tidy(settings, key)
        return Probed(
            facts=ask.facts(),
            lifecycle=self._lifecycle,
            lock_days=self._lock_days,
            skew_seconds=self._skew,
            left=self._left,
        )

    # -- objects -----------------------------------------------------------------------------------

    def _list(self) -> str:
        next(iter(self._listing(FOLDER)), None)
        return "" if next(iter(self._listing(PREFIX)), None) else f"nothing lies below '{PREFIX}'"

    def _listing(self, folder: str) -> Iterator[Mapping[str, Any]]:
        for batch in self._store.list(prefix=folder, chunk_size=_READ):
            yield from batch

    def _write(self, key: str) -> None:
        ask = self._asking
        began = time.time()
        is_put = self._ask_to_write(Ability.PUT, key, self._put)
        ended = time.time()
        ask.ask(Ability.GET, lambda: self._get(key if is_put else None))
        if not is_put:
            return
        ask.ask(Ability.CREATE, lambda: self._create(key))
        ask.ask(Ability.OVERWRITE, lambda: self._overwrite(key))
        self._ask_to_write(Ability.PARTS, f"{key}-parts", self._put_parts)
        if ask.says(Ability.LIST):
            ask.ask(Ability.FRESH, lambda: self._see(key))
            ask.ask(Ability.CLOCK, lambda: self._compare_clocks(key, began, ended))

    def _ask_to_write(self, ability: Ability, key: str, put: Callable[[str], None]) -> bool:
        """Write, and remember that; a failure that is no refusal may have written as well."""
        self._written.append(key)
        is_written = self._asking.ask(ability, lambda: put(key))
        if self._asking.is_known(ability) and not is_written:
            self._written.remove(key)
        return is_written

    def _put(self, key: str) -> None:
        made = self._store.put(key, _ONE, use_multipart=False)
        is_md5 = str(made["e_tag"]).strip('"') == md5(_ONE).hexdigest()
        self._asking.note(Ability.MD5, Answer.YES if is_md5 else Answer.NO)

    def _get(self, key: str | None) -> str:
        """Read what was written, and an object of DVC's where one is listed."""
        if key and bytes(self._store.get(key).bytes()) != _ONE:
            raise NotSoError("what was just written reads otherwise")
        found = None
        if self._asking.says(Ability.LIST):
            found = next((meta for meta in self._listing(PREFIX) if meta["size"]), None)
        if found:
            self._store.get_range(found["path"], start=0, end=1)
        elif not key:
            raise RuntimeError("there is nothing to read")
        return "" if found else f"nothing to read below '{PREFIX}'"

    def _create(self, key: str) -> str | None:
        from obstore.exceptions import AlreadyExistsError

        try:
            self._store.put(key, _TWO, mode="create")
        except AlreadyExistsError:
            return None
        raise NotSoError("it overwrites although told not to")

    def _overwrite(self, key: str) -> None:
        self._store.put(key, _TWO, use_multipart=False)
        if self._asking.says(Ability.GET) and bytes(self._store.get(key).bytes()) != _TWO:
            raise NotSoError("the old content is read after an overwrite")

    def _put_parts(self, key: str) -> None:
        self._store.put(key, _TWO, use_multipart=True)

    def _see(self, key: str) -> None:
        if all(meta["path"] != key for meta in self._listing(FOLDER)):
            raise NotSoError("a listing lacks what was just written")

    def _compare_clocks(self, key: str, began: float, ended: float) -> str:
        (found,) = (meta for meta in self._listing(FOLDER) if meta["path"] == key)
        stamp = found["last_modified"].timestamp()
        early, late = stamp - began + 1, stamp - ended  # servers tell whole seconds
        self._skew = 0.0 if late <= 1 and early >= 0 else late if late > 0 else early
        return f"{self._skew:+.0f} s"

    # -- the end -----------------------------------------------------------------------------------

    def _can_delete(self, key: str) -> bool:
        """Whether a delete may go well: S3 says so of what is not there, too."""
        try:
            self._store.delete(key)
        except FileNotFoundError:
            return True
        except Exception as error:  # noqa: BLE001  the answer is in it
            self._asking.note(Ability.DELETE, *verdict(error))
            return False
        return True

    def _tidy(self, settings: tuple[Any, str, str] | None, key: str) -> None:
        """Delete what this probe wrote, and what a killed one left, with versions and uploads."""
        mine = self._written
        stale: list[str] = []
        if self._asking.says(Ability.LIST):
            listed = [(meta["path"], meta["last_modified"].timestamp()) for meta in self._entries()]
            stale = [name for name, when in listed if is_stale(name, when)]
        if not self._asking.is_known(Ability.DELETE) and mine:
            self._asking.ask(Ability.DELETE, lambda: self._delete(mine))
        for name in stale if self._asking.says(Ability.DELETE) else {*mine, *stale}:
            try:
                self._store.delete(name)
            except FileNotFoundError:
                continue
            except Exception as error:  # noqa: BLE001  it is told
                self._left[name] = verdict(error)[1]
        if settings:  # the first delete left a marker, where there are versions
            self._tidy_versions(*settings, [*mine, key])

    def _entries(self) -> list[Mapping[str, Any]]:
        try:
            return list(self._listing(FOLDER))
        except Exception:  # noqa: BLE001  it was listed before; what is left goes the next time
            return []

    def _delete(self, names: Sequence[str]) -> None:
        for name in names:
            self._store.delete(name)
        if not self._asking.says(Ability.LIST):
            return
        still = {meta["path"] for meta in self._listing(FOLDER)} & set(names)
        if still:
            raise NotSoError("what was deleted is still there")

    # -- the bucket's settings ---------------------------------------------------------------------

    def _settings(self) -> tuple[Any, str, str] | None:
        own = (Ability.VERSIONS, Ability.OLD_VERSIONS, Ability.UPLOADS, Ability.LOCK,
               Ability.LIFECYCLE)  # fmt: skip
        why = "not asked: only S3 is asked for it here"
        if self._open_settings is not None:
            try:
                return self._open_settings()
            except BranchflowError as error:
                why = error.message
        for ability in own:
            self._asking.note(ability, Answer.UNKNOWN, why)
        return None

    def _ask_settings(self, client: Any, bucket: str, prefix: str) -> None:
        ask = self._asking
        ask.learn(Ability.VERSIONS, lambda: _versioning(client, bucket))
        ask.learn(Ability.LOCK, lambda: self._ask_lock(client, bucket))
        ask.learn(Ability.LIFECYCLE, lambda: self._ask_lifecycle(client, bucket))
        ask.learn(
            Ability.UPLOADS,
            lambda: client.list_multipart_uploads(Bucket=bucket, Prefix=prefix + FOLDER) and None,
        )

    def _ask_lock(self, client: Any, bucket: str) -> str:
        try:
            found = client.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
        except Exception as error:
            if verdict(error)[1] in _NONE:
                raise NotSoError("off") from error
            raise
        rule = found.get("Rule", {}).get("DefaultRetention")
        if not rule:
            return "on, keeps nothing by default"
        self._lock_days = float(rule.get("Days") or _YEAR_DAYS * rule.get("Years", 0))
        return f"keeps what is written for {self._lock_days:g} days ({rule['Mode'].lower()})"

    def _ask_lifecycle(self, client: Any, bucket: str) -> str:
        try:
            found = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        except Exception as error:
            if verdict(error)[1] not in _NONE:
                raise
            found = []
        self._lifecycle = json.loads(json.dumps(found, default=str))  # it has dates
        return f"{len(found)} rules" if len(found) != 1 else "1 rule"

    def _tidy_versions(self, client: Any, bucket: str, prefix: str, mine: Sequence[str]) -> None:
        """Take away all versions and unfinished uploads of what was written here."""

        def is_ours(name: str, when: float) -> bool:
            return name in mine or is_stale(name, when)

        def delete_versions() -> str | None:
            pages = client.get_paginator("list_object_versions").paginate(
                Bucket=bucket, Prefix=f"{prefix}{FOLDER}/"
            )
            count = 0
            for page in pages:
                for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    name = one["Key"].removeprefix(prefix)
                    if is_ours(name, one["LastModified"].timestamp()):
                        client.delete_object(
                            Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"]
                        )
                        count += 1
            return None if count else "there are none"

        if not self._asking.ask(Ability.OLD_VERSIONS, delete_versions) and (
            self._asking.says(Ability.VERSIONS) and mine
        ):
            why = self._asking.facts()[Ability.OLD_VERSIONS].said
            self._left |= {f"{name} (hidden versions)": why for name in mine}
        if self._asking.says(Ability.UPLOADS):
            try:
                _abort_uploads(client, bucket, prefix, is_ours)
            except Exception as error:  # noqa: BLE001  it is told
                self._left[f"unfinished uploads below {FOLDER}"] = verdict(error)[1]


def _versioning(client: Any, bucket: str) -> str:
    status = client.get_bucket_versioning(Bucket=bucket).get("Status")
    if status != "Enabled":
        raise NotSoError("suspended" if status else "off")
    return "on"


def _abort_uploads(
    client: Any, bucket: str, prefix: str, is_ours: Callable[[str, float], bool]
) -> None:
    found = client.list_multipart_uploads(Bucket=bucket, Prefix=f"{prefix}{FOLDER}/")
    for one in found.get("Uploads", []):
        if is_ours(one["Key"].removeprefix(prefix), one["Initiated"].timestamp()):
            client.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
