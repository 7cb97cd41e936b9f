"""Check that text files end with exactly one newline; print those that do not, and exit with 1 if there are any.

python scripts/check_file_ends.py FILE ...
"""

from __future__ import annotations

import sys
from pathlib import Path


def ends_well(content: bytes) -> bool:
    """Return whether a file is empty or ends with exactly one newline."""
    return not content or (content.endswith(b"\n") and not content.endswith((b"\n\n", b"\r\n\r\n")))


def main() -> None:
    """Check the files named on the command line."""
    wrong = [name for name in sys.argv[1:] if not ends_well(Path(name).read_bytes())]
    for name in wrong:
        print(f"{name}: must end with exactly one newline")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
