"""Options that mean the same to several commands."""

from __future__ import annotations

from typing import Annotated

import typer

from birefvideo.cli.program import heading

COMMON = heading("Common")
BATCH = heading("Batch")

Receipt = Annotated[
    bool,
    typer.Option(
        " /--no-receipt",
        help="Leave out the receipts (STEM_alpha.json …) that `verify` reads.",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=COMMON)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print for programs.")]
