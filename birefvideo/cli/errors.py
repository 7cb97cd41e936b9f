"""How commands end: one line on stderr for an error, and the exit code; in one place for all of them.

Exit codes: 0 done; 1 something failed; 2 a bad option; 3 done, of an input that lacks something; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import typer

from birefvideo.cli.events import Events
from birefvideo.cli.printing import print_error
from birefvideo.errors import BirefvideoError, InputError, OptionError

LOSSES = 3
"""Exit code where all is done, but an input was damaged or cut off, so that frames or sound are missing."""
STOPPED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the number of SIGINT."""


@contextmanager
def reported(debug: bool, stopped: str = "stopped", events: Events | None = None) -> Iterator[None]:
    """Turn an error of the block into one line on stderr and an exit code; `debug` lets it through with its traceback.

    Args:
        debug: the command's --debug.
        stopped: what to say after Ctrl-C.
        events: what tells programs of it too.
    """
    try:
        yield
    except BirefvideoError as error:
        if debug:
            _tell_programs(error, events)
            raise
        _tell(error, error.for_terminal(), exit_code(error), events)
        raise typer.Exit(exit_code(error)) from None
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt as error:
        _tell(error, stopped, STOPPED, events)
        raise typer.Exit(STOPPED) from None
    except Exception as error:
        if hasattr(error, "format_message"):  # which typer's own have
            raise
        if debug:
            _tell_programs(error, events)
            raise
        _tell(error, _unexpected(error), 1, events)
        raise typer.Exit(1) from None


def print_missing(item: object, line: str, events: Events | None = None) -> None:
    """Print why an input holds nothing to work on."""
    _tell(InputError(line), line, 1, events, item)


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
    events: Events | None = None
    """What tells programs of them too, where the user wants it."""

    @contextmanager
    def caught(self, item: object, kind: type[Exception] = Exception) -> Iterator[None]:
        """Print an error of the block, of that kind, in one line that names `item` where the error does not."""
        try:
            yield
        except kind as error:
            if self.debug:
                _tell_programs(error, self.events, item)
                raise
            self.tell(item, error)

    def tell(self, item: object, error: Exception, *, silent: bool = False) -> None:
        """Print an error in one line and keep it; programs alone are told where that line was printed already."""
        line = error.for_terminal() if isinstance(error, BirefvideoError) else f"{item}: {_unexpected(error)}"
        _tell(error, line, exit_code(error), self.events, item, silent=silent)
        self.errors.append(error)
        self.lines[str(item)] = line

    def stopped(self, item: object, error: KeyboardInterrupt, line: str, *, silent: bool = False) -> None:
        """Print that Ctrl-C ended the work on an item; where it was printed already, programs alone are told."""
        _tell(error, line, STOPPED, self.events, item, silent=silent)

    @property
    def exit_code(self) -> int:
        """0 without an error; 2 where one is of a bad option; else 1."""
        return max(map(exit_code, self.errors), default=0)


def _tell(
    error: BaseException, line: str, code: int, events: Events | None, item: object = None, *, silent: bool = False
) -> None:
    """Print an error in one line, and tell programs that listen; on stderr there is only one of the two."""
    if events is not None:
        events.failed(item, error, line, code)
    if not silent and (events is None or not events.on_stderr):
        print_error(line)


def _tell_programs(error: Exception, events: Events | None, item: object = None) -> None:
    """Tell programs alone of an error that goes on to whoever debugs."""
    if events is not None:
        line = error.for_terminal() if isinstance(error, BirefvideoError) else _unexpected(error)
        events.failed(item, error, line, exit_code(error))


def _unexpected(error: Exception) -> str:
    return f"{type(error).__name__}: {error} (unexpected; --debug shows where)"
