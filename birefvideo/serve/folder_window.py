"""Shows a folder in the machine's file manager."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from birefvideo.serve.faults import RefusedError


def open_folder(folder: Path) -> None:
    """Open a window on a folder.

    Raises:
        RefusedError: there is no file manager.
    """
    try:
        if sys.platform == "win32":
            os.startfile(folder)
            return
        program = "open" if sys.platform == "darwin" else "xdg-open"
        subprocess.run([program, folder], check=True, timeout=10, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        raise RefusedError(501, "no_window", f"there is no file manager here: the files are in {folder}") from None
