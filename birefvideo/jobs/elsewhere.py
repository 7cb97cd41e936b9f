"""Jobs whose clip or outputs are at URLs: the clip is brought here, the job runs as ever, its files are delivered.

What lies at a URL stands in a job as a path on this machine, see `remote.places`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from birefvideo.errors import BirefvideoError, InputError, OptionError, OutputError, named
from birefvideo.jobs import run as on_disk
from birefvideo.jobs.delivered import OBJECT, Delivered, input_identity, object_of, request_of
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.engines import JobModel
from birefvideo.jobs.loaded_model import loaded_model
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Target, job_folder, review_page, review_targets, timeline_paths
from birefvideo.jobs.receipt import Entry, claims_of, receipt_path, receipt_text
from birefvideo.jobs.result import Progress, Result, told
from birefvideo.media.endings import VIDEO_SUFFIXES
from birefvideo.media.reading.numbered_pictures import stem_of
from birefvideo.media.sequence_json import is_picture_file, own_files
from birefvideo.own_files import remove_if_empty, size_of, write_whole
from birefvideo.paths import writing
from birefvideo.remote.places import in_words, is_read_only, shown, url_at, url_of
from birefvideo.remote.store import Identity, Store
from birefvideo.remote.transfer import Upload, bring, check_writable, forget, is_brought, set_aside

RECORD = ".birefvideo-upload.json"
"""Ending of what says how far the upload of a job's files is."""


def run_anywhere(
    source: Path,
    targets: Sequence[Target],
    options: Options,
    delivery: Delivery,
    *,
    load: Callable[[Options], JobModel] = loaded_model,
    progress: Progress | None = None,
) -> Result:
    """Matte one clip as `jobs.run.run` does, wherever the clip is and the outputs go.

    Outputs at URLs appear there when all of them are proven and uploaded, then the receipts. What exists there is
    refused as on this machine, before anything is fetched; what receipts prove to be done is not even fetched.

    Raises:
        BirefvideoError: as `run`; what is at a URL is called by it.
    """
    if url_of(source) is None and url_of(targets[0].path) is None:
        return on_disk.run(source, targets, options, delivery, load=load, progress=progress)
    with urls_in_errors():
        result = _Elsewhere(source, targets, options, delivery, load, progress or Progress()).run()
    return replace(result, warnings=list(map(in_words, result.warnings)), losses=list(map(in_words, result.losses)))


@contextmanager
def urls_in_errors() -> Iterator[None]:
    """Let an error of the block call what lies at URLs by these.

    Raises:
        BirefvideoError: as the block.
    """
    try:
        yield
    except BirefvideoError as error:
        if (line := in_words(error.message)) == error.message:
            raise
        raise type(error)(line).with_traceback(error.__traceback__) from error.__cause__


def fetch_unless_film(source: Path, progress: Progress | None = None) -> None:
    """Fetch a file at a URL whose name does not say that it is a film: what is made of it depends on what is in it.

    Raises:
        BirefvideoError: as `bring`.
    """
    if source.suffix.lower() not in VIDEO_SUFFIXES:
        fetch(source, progress or Progress())


def fetch(source: Path, progress: Progress) -> None:
    """Bring the clip that a place stands for, if it is at a URL.

    Raises:
        BirefvideoError: as `bring`.
    """
    url, found = url_of(source), to_fetch(source)
    if url is None or found is None:
        return
    progress.transfer("fetching", [shown(url)], size_in(found))
    bring(url, source.parent, name=source.name, tick=progress.bytes)


def to_fetch(source: Path) -> Identity | None:
    """Return what is to be fetched before a job can begin; None: nothing, the clip or a good copy of it is here.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    found = input_identity(source)
    return None if found is None or is_brought(source, found) else found


def size_in(found: Identity) -> int | None:
    """Return the bytes of an object; None where its server does not say."""
    size = found.get("size", "")
    return int(size) if size.isdecimal() else None


class _Elsewhere:
    """One such job."""

    def __init__(
        self,
        source: Path,
        targets: Sequence[Target],
        options: Options,
        delivery: Delivery,
        load: Callable[[Options], JobModel],
        progress: Progress,
    ) -> None:
        self._source, self._targets, self._options = source, targets, options
        self._delivery, self._load, self._progress = delivery, load, progress
        self._to_urls = url_of(targets[0].path) is not None
        if self._to_urls and delivery.keep_cache:
            raise OptionError(
                f"{named('keep_cache')} keeps a folder beside the outputs, and these go to a URL: leave it out, or "
                f"choose a folder of this machine with {named('out')}"
            )
        for target in targets if self._to_urls else ():
            if is_read_only(url_at(target.path)):
                raise OutputError(f"{target.path} is on the web, which can only be read: choose another {named('out')}")
            if url_of(target.path) == url_of(source):
                raise OutputError(f"{target.path} is the input itself: choose another {named('out')}")
        self._record = targets[0].path.parent / f"{stem_of(source)}{RECORD}"
        self._upload = Upload(self._record)

    def run(self) -> Result:
        """Do all of it."""
        there = Delivered(self._source, self._targets, self._delivery)
        try:
            return self._run(there)
        finally:
            there.forget()

    def _run(self, there: Delivered) -> Result:
        request = request_of(self._options, self._targets)
        if self._delivery.skips_done and (entries := there.finished(request)):
            return self._done_before(entries)
        aside: list[str] = []
        if self._to_urls:
            aside = there.check(self._upload)
            check_writable(url_at(self._targets[0].path))
        fetch(self._source, self._progress)
        origin = input_identity(self._source)
        result = self._run_here()
        if self._to_urls:
            result.warnings += [self._set_aside(url) for url in aside]
            result = self._deliver(result, there, request, origin)
        elif self._delivery.receipts:
            self._note(result.receipts, request, origin)
        if url_of(self._source) is not None:
            forget(self._source)
            remove_if_empty(self._source.parent)
        return result

    def _run_here(self) -> Result:
        delivery = self._delivery
        if self._to_urls:  # what lies here is ours, of a run whose upload was interrupted
            delivery = replace(delivery, skip_done=True, renew=True, receipts=True)
        try:
            return on_disk.run(
                self._source, self._targets, self._options, delivery, load=self._load, progress=self._progress
            )
        except InputError:
            if url_of(self._source) is not None and not job_folder(self._targets, self._source).exists():
                forget(self._source)
            raise

    def _deliver(self, result: Result, there: Delivered, request: str, origin: Identity | None) -> Result:
        files = [pair for path in result.outputs for pair in _files(path)]
        page = [result.review] if result.review else []
        copies = [one.path for one in review_targets(self._source, self._targets, self._options) if page]
        side = [*filter(Path.exists, copies), *page, *result.timelines]
        files += [(path, url_at(path)) for path in side]
        self._progress.transfer("uploading", [shown(url) for _, url in files], sum(size_of(file) for file, _ in files))
        may_replace = self._delivery.overwrite or self._delivery.renew
        self._upload.put(files, overwrite=may_replace, tick=self._progress.bytes)
        for path in result.outputs:
            _drop_others(path)
        if self._delivery.receipts:
            self._note(result.receipts, request, origin, there)
            receipts = [(path, url_at(path)) for path in result.receipts]
            self._upload.put(receipts, overwrite=True, tick=self._progress.bytes)
        made = [*result.outputs, *side, *(result.receipts if self._delivery.receipts else ())]
        self._upload.end()
        for path in (*result.outputs, *side, *result.receipts):
            _remove(path)
        remove_if_empty(self._record.parent)
        urls = tuple(shown(url_at(path)) for path in made)
        receipts_there = result.receipts if self._delivery.receipts else ()
        return replace(result, urls=urls, was_done=False, receipts=receipts_there)

    def _note(
        self, receipts: Sequence[Path], request: str, origin: Identity | None, there: Delivered | None = None
    ) -> None:
        """Add to receipts what will tell whether all is still as it was, without fetching any of it."""
        for receipt in receipts:
            mine = [target.path for target in self._targets if receipt_path(target.path) == receipt]
            entries: dict[str, Entry] = dict(there.other_entries(receipt)) if there else {}
            text = json.loads(receipt.read_text(encoding="utf-8"))["outputs"]
            for path in mine:
                about = {"request": request, "input": origin, "there": object_of(path) if there else None}
                entries[path.name] = {**text[path.name], OBJECT: {key: one for key, one in about.items() if one}}
            with writing(receipt):
                write_whole(receipt, receipt_text({**({} if there else text), **entries}))

    def _set_aside(self, url: str) -> str:
        kept = shown(set_aside(url))
        return f"{shown(url)} was not as its receipt says, damaged or edited: it is kept as {kept}"

    def _done_before(self, entries: Sequence[Entry]) -> Result:
        first = entries[0]
        paths = [target.path for target in self._targets]
        receipts = tuple(dict.fromkeys(map(receipt_path, paths)))
        page = review_page(self._source, self._targets) if self._delivery.review else None
        timelines = timeline_paths(self._source, self._targets, self._delivery.timeline)
        made = [*paths, *([page] if page else []), *timelines, *(receipts if self._delivery.receipts else ())]
        losses = told(entries, "losses")
        if self._delivery.strict:
            on_disk.check_whole(self._source, losses)
        return Result(
            outputs=tuple(paths),
            frames=claims_of(first).frames or 0,
            computed=0,
            seconds=0,
            model=str(first["model"]["name"]),
            device=str(first["computed"]["device"]),
            warnings=list(dict.fromkeys([*losses, *told(entries, "warnings")])),
            losses=losses,
            receipts=receipts,
            review=page,
            timelines=timelines,
            sizes=tuple(int(entry["size"]) for entry in entries),
            urls=tuple(shown(url_at(path)) for path in made) if self._to_urls else (),
            was_done=True,
        )


def _files(output: Path) -> list[tuple[Path, str]]:
    """Return the files of an output, each with its URL."""
    if not output.is_dir():
        return [(output, url_at(output))]
    return [(output / name, f"{url_at(output)}/{name}") for name in own_files(output)]


def _drop_others(output: Path) -> None:
    """Remove what an earlier, longer series has left where pictures were delivered."""
    if not output.is_dir():
        return
    store, mine = Store(url_at(output)), set(own_files(output))
    with store.told("written"):
        for path in store.fs.find(store.path):
            name = path.rpartition("/")[2]
            if name not in mine and is_picture_file(name):
                store.fs.rm_file(path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
