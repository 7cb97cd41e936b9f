"""The hub's client, imported in one place: it reads its settings then, and gives up where it cannot."""

from __future__ import annotations

import os

from birefvideo.errors import ModelError


def _setting_in(error: ValueError) -> str:
    """Return the variable whose value an error of the client quotes, with that value."""
    found = [f"{key} is {value!r}" for key, value in os.environ.items() if key.startswith("HF_") and value]
    quoted = [text for text in found if text.partition(" is ")[2] in str(error)]
    address = [text for text in found if text.startswith("HF_ENDPOINT ")]
    return (quoted or address or ["one of its variables (HF_…) has a value"])[0]


try:
    from huggingface_hub import (
        constants,
        get_hf_file_metadata,
        get_token,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )
    from huggingface_hub.errors import EntryNotFoundError, HTTPError, OfflineModeIsEnabled
    from huggingface_hub.file_download import http_get, repo_folder_name
    from huggingface_hub.utils import WeakFileLock, build_hf_headers, logging
except ValueError as error:
    raise ModelError(
        f"{_setting_in(error)}, which the hub's client cannot use ({error}): set it anew, or unset it"
    ) from error

__all__ = [
    "EntryNotFoundError",
    "HTTPError",
    "OfflineModeIsEnabled",
    "WeakFileLock",
    "build_hf_headers",
    "constants",
    "get_hf_file_metadata",
    "get_token",
    "hf_hub_download",
    "hf_hub_url",
    "http_get",
    "logging",
    "repo_folder_name",
    "try_to_load_from_cache",
]
