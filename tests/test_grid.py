"""The grid of cells that mattes are reasoned on: reducing, and applying by tiles without a trace of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from birefvideo.matting.grid import Grid

SIZES = pytest.mark.parametrize(("height", "width"), [(270, 480), (271, 481), (1000, 1919), (1, 500)])


@SIZES
def test_cells_are_means_of_square_blocks(height: int, width: int) -> None:
    grid = Grid(height, width)
    full = np.random.default_rng(0).random((height, width), np.float32)
    cells, factor = grid.reduce(full), grid.factor
    assert max(cells.shape) <= 480
    assert cells.shape == (-(-height // factor), -(-width // factor))
    rows, columns = height // factor * factor, width // factor * factor
    blocks = full[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor).mean(axis=(1, 3))
    np.testing.assert_allclose(cells[: blocks.shape[0], : blocks.shape[1]], blocks, atol=1e-5)


@SIZES
def test_tiles_hold_every_marked_cell_once_and_show_no_seams(height: int, width: int) -> None:
    grid = Grid(height, width)
    rng = np.random.default_rng(1)
    cells = grid.reduce(rng.random((height, width), np.float32))
    marked = rng.random(cells.shape) < 0.02
    marked[-1, -1] = True
    factor = grid.factor
    whole = cv2.resize(cells, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)[:height, :width]
    count = np.zeros((height, width), int)
    for tile in grid.tiles(marked):
        count[tile.pixels] += 1
        np.testing.assert_allclose(tile.enlarge(cells), whole[tile.pixels], atol=1e-6)
    assert count.max() == 1
    assert (count[grid.repeat(marked.view(np.uint8)) > 0] == 1).all()


@SIZES
def test_every_pixel_can_have_its_cells_value(height: int, width: int) -> None:
    grid = Grid(height, width)
    factor = grid.factor
    cells = np.random.default_rng(2).integers(0, 255, (-(-height // factor), -(-width // factor)), np.uint8)
    expected = cells.repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]
    assert np.array_equal(grid.repeat(cells), expected)


def test_nothing_marked_gives_no_tiles() -> None:
    assert list(Grid(100, 100).tiles(np.zeros((100, 100), bool))) == []
