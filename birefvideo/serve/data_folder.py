"""The server's folder: one for uploads, jobs and results, with a mark, so that nothing of others is ever removed.

DATA/birefvideo-serve.json   the mark
DATA/lock                    held by the server and by the jobs that it started
DATA/jobs.sqlite3            what was asked for, and what became of it
DATA/webhooks.key            what webhooks are signed with
DATA/incoming/               files that are still arriving; what a killed server left there goes at the next start
DATA/uploads/ID/NAME         files that clients sent
DATA/jobs/ID/                outputs of a job, and its log.txt
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path

from birefvideo.errors import OutputError, named
from birefvideo.json_files import read_json_object
from birefvideo.own_files import is_plain_file, is_plain_folder, make_folders, open_existing_or_new, write_whole
from birefvideo.serve.names import clean_name, is_id, new_id
from birefvideo.serve.sizes import Sizes

_MARK = "birefvideo-serve.json"
_MARK_VALUES = {"format": "birefvideo serve", "version": 1}
_KINDS = ("uploads", "jobs")
_OWN = ".birefvideo-serve"
"""File that marks each folder below as made by us."""

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class DataFolder:
    """Opens the folder and holds its lock until `close`.

    Args:
        path: where it is, or is made.
        patience: seconds to wait for jobs of an earlier server, which stop when it is gone.

    Raises:
        OutputError: it is not ours, another server works in it, or the disk refuses.
    """

    def __init__(self, path: Path, patience: float = 60.0) -> None:
        self.path = path.absolute()
        self._sizes = Sizes(lambda place: size_of_tree(self._folder(*place)))
        try:
            self._take(patience)
        except OSError as error:
            why = error.strerror or error
            raise OutputError(f"{path} cannot be used ({why}): name a folder of yours with {named('data')}") from error

    def _take(self, patience: float) -> None:
        if make_folders(self.path):
            self.path.chmod(0o700)  # people's faces are in it
        mark = self.path / _MARK
        if not is_plain_file(mark):
            if any(self.path.iterdir()):
                raise OutputError(
                    f"{self.path} holds other files and was not made by birefvideo serve: name a new or empty folder "
                    f"with {named('data')}"
                )
            write_whole(mark, json.dumps(_MARK_VALUES) + "\n")
        try:
            version = read_json_object(mark).get("version")
        except ValueError as error:
            raise OutputError(f"{mark} is damaged ({error}): name another folder with {named('data')}") from error
        if version != _MARK_VALUES["version"]:
            raise OutputError(
                f"{self.path} is of another version of birefvideo: name a new folder with {named('data')}"
            )
        self.lock = open_existing_or_new(self.path / "lock")
        self._wait(time.monotonic() + patience)
        for kind in (*_KINDS, "incoming"):
            (self.path / kind).mkdir(exist_ok=True)
        for left in (self.path / "incoming").iterdir():
            if is_id(left.name):
                left.unlink()

    def _wait(self, deadline: float) -> None:
        while True:
            try:
                return _lock(self.lock)
            except OSError:
                if time.monotonic() > deadline:
                    os.close(self.lock)
                    raise OutputError(
                        f"another birefvideo serve works in {self.path}: stop it, or name another folder with "
                        f"{named('data')}"
                    ) from None
            time.sleep(0.1)

    def close(self) -> None:
        """Let another server have the folder; jobs that are still stopping keep it until they are gone."""
        os.close(self.lock)

    @property
    def database(self) -> Path:
        """Where the table of jobs is."""
        return self.path / "jobs.sqlite3"

    @property
    def secret(self) -> Path:
        """Where the secret is that webhooks are signed with."""
        return self.path / "webhooks.key"

    def incoming(self) -> Path:
        """Return a new place for a file that arrives."""
        return self.path / "incoming" / new_id()

    def upload(self, key: str, name: str) -> Path:
        """Return where the upload of that id is."""
        return self._folder("uploads", key) / clean_name(name)

    def job(self, key: str) -> Path:
        """Return the folder of the job of that id."""
        return self._folder("jobs", key)

    def make(self, kind: str, key: str) -> Path:
        """Make the folder of a new upload or job, and mark it; it counts as written to until `settle`."""
        folder = self._folder(kind, key)
        folder.mkdir()
        (folder / _OWN).touch()
        self._sizes.grow((kind, key))
        return folder

    def grow(self, kind: str, key: str) -> None:
        """Say that something begins to write to a folder."""
        self._sizes.grow((kind, key))

    def settle(self, kind: str, key: str) -> None:
        """Say that nothing more is written to a folder."""
        self._sizes.settle((kind, key))

    def remove(self, kind: str, key: str) -> None:
        """Remove the folder of an upload or job with all that is in it, if it is still ours; links are not followed.

        Raises:
            OSError: the disk refuses.
        """
        folder = self._folder(kind, key)
        if is_plain_folder(folder) and is_plain_file(folder / _OWN):
            shutil.rmtree(folder)
        self._sizes.forget((kind, key))

    def keys(self, kind: str) -> list[str]:
        """Return the ids of all folders of that kind that are ours."""
        folders = (self.path / kind).iterdir()
        return [folder.name for folder in folders if is_id(folder.name) and is_plain_file(folder / _OWN)]

    def recount(self) -> None:
        """Have every folder measured once more, those included that others have changed; wants the disk."""
        self._sizes.doubt((kind, key) for kind in _KINDS for key in self.keys(kind))

    async def size(self) -> int:
        """Return the bytes of all files of uploads and jobs, and of those that still arrive."""
        return await self._sizes.total() + size_of_tree(self.path / "incoming")

    def free(self) -> int:
        """Return the bytes that the disk has left."""
        return shutil.disk_usage(self.path).free

    def _folder(self, kind: str, key: str) -> Path:
        assert kind in _KINDS
        assert is_id(key), key  # so that no text of a client is ever part of a path
        return self.path / kind / key


def size_of_tree(folder: Path) -> int:
    """Return the bytes of all files in a folder and in those inside it; links count as themselves."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # it went meanwhile
                total += Path(root, name).lstat().st_size
    return total
