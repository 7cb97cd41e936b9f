"""Where the channels of a sound stream belong, read without the fault that PyAV has with odd orders."""

from __future__ import annotations

from av.audio.stream import AudioStream


def settled_layout(stream: AudioStream) -> str:
    """Return FFmpeg's name of a stream's layout; one in an order of its own loses it, so that it can be decoded.

    QuickTime may list speakers in any order. PyAV (18.1) lets FFmpeg free the list of such an order twice, with every
    frame and at the end, and the process dies. To be called once for a stream, before anything else asks for its
    layout.
    """
    context = stream.codec_context
    layout = context.layout
    name = layout.name
    if " channels (" in name:
        context.layout = f"{layout.nb_channels} channels"  # the list is `layout`'s alone from here on
    return name
