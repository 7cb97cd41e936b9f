"""The grid of cells that mattes are reasoned on: reducing, and applying by tiles without a trace of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from birefvideo.matting.grid import Grid, Mask
from birefvideo.matting.patches import patches

SIZES = pytest.mark.parametrize(("height", "width"), [(270, 480), (271, 481), (1000, 1919), (1, 500)])


def marks(grid: Grid) -> Mask:
    """A few marked cells, the last one among them."""
    cells = grid.reduce(np.zeros((grid.height, grid.width), np.float32))
    marked: Mask = np.random.default_rng(1).random(cells.shape) < 0.02
    marked[-1, -1] = True
    return marked


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
def test_tiles_and_patches_hold_every_marked_cell_once(height: int, width: int) -> None:
    grid = Grid(height, width)
    marked = marks(grid)
    tiled, patched = np.zeros((height, width), int), np.zeros((height, width), int)
    for tile in grid.tiles(marked):
        tiled[tile.pixels] += 1
    for patch in patches(grid, marked):
        patch.put(patch.pick(patched) + 1, patched)
    assert tiled.max() == 1
    assert (tiled[grid.repeat(marked.view(np.uint8)) > 0] == 1).all()
    assert np.array_equal(patched, grid.repeat(marked.view(np.uint8)))


@SIZES
@pytest.mark.parametrize("samples", [1, 2])
def test_patches_interpolate_a_map_as_if_it_were_enlarged_whole(height: int, width: int, samples: int) -> None:
    grid = Grid(height, width)
    cells = grid.reduce(np.zeros((height, width), np.float32))
    rng = np.random.default_rng(1)
    values = rng.random((samples * cells.shape[0], samples * cells.shape[1]), np.float32)
    scale = grid.factor / samples
    whole = cv2.resize(values, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)[:height, :width]
    found = np.full((height, width), np.nan, np.float32)
    marked = marks(grid)
    for patch in patches(grid, marked):
        patch.put(patch.enlarge(values, samples), found)
    inside = grid.repeat(marked.view(np.uint8)) > 0
    np.testing.assert_allclose(found[inside], whole[inside], atol=1e-6)
    assert np.isnan(found[~inside]).all()


def test_patches_reach_planes_whose_rows_are_padded() -> None:
    plane = np.zeros((10, 64), np.uint16)[:, :37]
    for patch in patches(Grid(10, 37), np.ones((10, 37), bool)):
        patch.put(patch.pick(plane) + 3, plane)
    assert (plane == 3).all()
    assert (plane.base[:, 37:] == 0).all()


@SIZES
def test_every_pixel_can_have_its_cells_value(height: int, width: int) -> None:
    grid = Grid(height, width)
    factor = grid.factor
    cells = np.random.default_rng(2).integers(0, 255, (-(-height // factor), -(-width // factor)), np.uint8)
    expected = cells.repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]
    assert np.array_equal(grid.repeat(cells), expected)


def test_nothing_marked_gives_no_tiles_and_no_patches() -> None:
    assert list(Grid(100, 100).tiles(np.zeros((100, 100), bool))) == []
    assert list(patches(Grid(100, 100), np.zeros((100, 100), bool))) == []
