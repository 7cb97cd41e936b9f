"""Ways to spoil a file: its bytes, its blocks, its head, values of JSON, words of an option."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from torturing.structure import spoil_structure

_NUMBERS = (0, 1, -1, 2, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)
_WORDS = ("", "x", "1/0", "0/1", "-1/25", "1e999999999", "9" * 5000, "NaN", "%999999999d", "%d%d", "%s", "../x", "a\0b")
_HEAD = 512  # bytes at the start of a file, where most of its promises are


def spoil_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with a few of them changed, numbers made extreme, or a stretch moved, doubled or lost."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not changed:
            break
        reach = len(changed) if rng.random() < 0.5 else min(_HEAD, len(changed))
        at = rng.randrange(reach)
        kind = rng.randrange(6)
        if kind == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            width = rng.choice((1, 2, 4, 8))
            number = rng.choice(_NUMBERS) % 256**width
            changed[at : at + width] = number.to_bytes(width, rng.choice(("big", "little")))
        elif kind == 2:
            changed[at : at + rng.randrange(1, 64)] = b""
        elif kind == 3:
            piece = changed[at : at + rng.randrange(1, 64)]
            changed[at:at] = piece * rng.choice((1, 2, 50))
        elif kind == 4:
            end = at + rng.randrange(1, 64)
            changed[at:end] = bytes(min(end, len(changed)) - at)
        else:
            del changed[rng.randrange(len(changed)) :]
    return bytes(changed)


def spoil_media(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Return a media file with bytes, blocks, its head or its structure spoilt; `other` is one to take parts from."""
    kind = rng.randrange(8)
    if kind == 0:
        return spoil_blocks(data, rng)
    if kind == 1:
        return spliced(data, other, rng)
    if kind == 2:
        return data + rng.choice((bytes(1 << 20), rng.randbytes(1 << 16), data, other, data * 8))
    if kind < 6 and (changed := spoil_structure(data, rng, other)) != data:
        return changed if rng.random() < 0.7 else spoil_structure(changed, rng, other)
    return spoil_bytes(data, rng)


def spoil_blocks(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with a few blocks zeroed, exchanged or filled with noise, as a failing disk does."""
    size = rng.choice((16, 64, 512, 4096))
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    for _ in range(rng.choice((1, 2, 8, 64))):
        one, two = rng.randrange(len(blocks)), rng.randrange(len(blocks))
        kind = rng.randrange(3)
        if kind == 0:
            blocks[one] = bytes(len(blocks[one]))
        elif kind == 1:
            blocks[one], blocks[two] = blocks[two], blocks[one]
        else:
            blocks[one] = rng.randbytes(len(blocks[one]))
    return b"".join(blocks)


def spliced(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return the head of one file before the rest of another."""
    cut = rng.randrange(1, min(len(data), rng.choice((32, _HEAD, 4096, len(data)))) + 1)
    return data[:cut] + other[rng.choice((cut, rng.randrange(len(other)))) :]


def spoil_json(text: bytes, rng: random.Random) -> bytes:
    """Return JSON with values of other types, sizes and depths, or text that is none."""
    if rng.random() < 0.15:
        return spoil_bytes(text, rng)
    if rng.random() < 0.05:
        return rng.choice((b"", b"[]", b"3", b"null", b"[" * 100_000, b'{"a":' * 100_000, b"{}", b'"' + b"x" * 100_000))
    values = json.loads(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        values = _with_change(values, rng)
    return json.dumps(values).encode()


def spoil_text(text: bytes, rng: random.Random) -> bytes:
    """Return a word with letters lost, doubled or exchanged, or another word altogether."""
    if rng.random() < 0.3:
        return rng.choice(_WORDS).encode()
    letters = list(text.decode())
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(letters) + 1)
        letters[at : at + rng.randrange(3)] = list(
            rng.choice(("", "0", "9" * rng.choice((1, 30, 5000)), "-", "/", "e", ".", ":"))
        )
    return "".join(letters).encode()


def _with_change(values: Any, rng: random.Random) -> Any:
    """Return JSON values with one of them, or of those inside, replaced, doubled or removed."""
    if isinstance(values, dict | list) and values and rng.random() < 0.85:
        values = copy.copy(values)
        keys = list(values) if isinstance(values, dict) else range(len(values))
        key: Any = rng.choice(list(keys))
        if rng.random() < 0.1:
            del values[key]
        else:
            values[key] = _with_change(values[key], rng)
        return values
    return _other(values, rng)


def _other(value: Any, rng: random.Random) -> Any:
    deep: Any = value
    for _ in range(rng.choice((1, 3, 200))):
        deep = [deep] if rng.random() < 0.5 else {"a": deep}
    huge = [value] * rng.choice((0, 2, 10_000))
    numbers = [*_NUMBERS, 0.5, 1e308, 10**400]
    return rng.choice([None, True, False, [], {}, rng.choice(numbers), rng.choice(_WORDS), deep, huge, [value, value]])
