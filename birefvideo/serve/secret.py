"""The secret of a data folder: made once, known to this server alone, and what webhooks are signed with."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from birefvideo.errors import OutputError
from birefvideo.own_files import write_temporary

_BYTES = 32


class Secret:
    """Reads it, or makes it where there is none.

    Args:
        path: its file.

    Raises:
        OutputError: the file is damaged.
        OSError: the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            write_temporary(path, secrets.token_hex(_BYTES).encode(), is_secret=True).replace(path)
        try:
            self._value = bytes.fromhex(path.read_text(encoding="ascii"))
        except ValueError:
            self._value = b""
        if len(self._value) != _BYTES:
            raise OutputError(f"{path} is damaged: delete it, and the next start makes a new secret for webhooks")

    def key(self, purpose: str) -> bytes:
        """Return 32 bytes that are always the same for a purpose, and tell nothing of those for another."""
        return hmac.digest(self._value, purpose.encode(), "sha256")
