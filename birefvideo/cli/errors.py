"""How commands end: one line on stderr for an error, and the exit code; in one place for all of them.

Exit codes: 0 done; 1 something failed; 2 a bad option; 3 done, of an input that lacks something; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import typer

from birefvideo.cli.printing import print_error
from birefvideo.errors import BirefvideoError, OptionError

LOSSES = 3
"""Exit code where all is done, but an input was damaged or cut off, so that frames or sound are missing."""
STOPPED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the number of SIGINT."""


@contextmanager
def reported(debug: bool, stopped: str = "stopped") -> Iterator[None]:
    """Turn an error of the block into one line on stderr and an exit code; `debug` lets it through with its traceback.

    Args:
        debug: the command's --debug.
        stopped: what to say after Ctrl-C.
    """
    try:
        yield
    except BirefvideoError as error:
        if debug:
            raise
        print_error(error.for_terminal())
        raise typer.Exit(exit_code(error)) from None
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        print_error(stopped)
        raise typer.Exit(STOPPED) from None
    except Exception as error:
        if debug or hasattr(error, "format_message"):  # which typer's own have
            raise
        print_error(_unexpected(error))
        raise typer.Exit(1) from None


def exit_code(error: Exception) -> int:
    """Return what a command that failed with an error exits with."""
    return 2 if isinstance(error, OptionError) else 1


@dataclass
class Failures:
    """Errors of a command that goes on with its next item after one fails."""

    debug: bool
    """Let an error through with its traceback, and stop."""
    errors: list[Exception] = field(default_factory=list)
    """Those that were printed."""
    lines: dict[str, str] = field(default_factory=dict)
    """What was printed, by the name of the item."""

    @contextmanager
    def caught(self, item: object, kind: type[Exception] = Exception) -> Iterator[None]:
        """Print an error of the block, of that kind, in one line that names `item` where the error does not."""
        try:
            yield
        except kind as error:
            if self.debug:
                raise
            self.tell(item, error)

    def tell(self, item: object, error: Exception, *, silent: bool = False) -> None:
        """Print an error in one line and keep it; it is only kept where the same line was printed for another item."""
        if isinstance(error, BirefvideoError):
            line = shown = error.for_terminal()
        else:
            line = _unexpected(error)
            shown = f"{item}: {line}"
        if not silent:
            print_error(shown)
        self.errors.append(error)
        self.lines[str(item)] = line

    @property
    def exit_code(self) -> int:
        """0 without an error; 2 where one is of a bad option; else 1."""
        return max(map(exit_code, self.errors), default=0)


def _unexpected(error: Exception) -> str:
    return f"{type(error).__name__}: {error} (unexpected; --debug shows where)"
