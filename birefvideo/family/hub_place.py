"""Where weights are kept: the folders of the hub's client, and ours beside them."""

from __future__ import annotations

from pathlib import Path

from birefvideo.errors import ModelError
from birefvideo.family.client import constants


def own(folder: str) -> Path:
    """Return a folder of ours; it outlives the clearing of the client's cache."""
    return Path(constants.HF_HOME) / "birefvideo" / folder


def why_unusable() -> str:
    """Return ' (HF_HOME …)' where that or HF_HUB_CACHE is no folder, so that nothing can be found there, or ''."""
    for name, place in (("HF_HOME", constants.HF_HOME), ("HF_HUB_CACHE", constants.HF_HUB_CACHE)):
        for path in (Path(place), *Path(place).parents):
            try:
                is_wrong = path.exists() and not path.is_dir()
            except (OSError, ValueError) as error:
                return f" ({name} is {place}, which cannot be read: {getattr(error, 'strerror', None) or error})"
            if is_wrong:
                return f" ({name} is {place}, and {path} is a file)"
    return ""


def check_usable() -> None:
    """Refuse places that are no folders, before anything is fetched.

    Raises:
        ModelError: names the setting.
    """
    if reason := why_unusable():
        raise ModelError(f"weights cannot be kept{reason}: set it to a folder of yours, or unset it")
