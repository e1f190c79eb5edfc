"""A matrix in blocks of 8 or 4 bits times one row, compiled by Numba.

Blocks lie as `blocks.Blocks` lays them: 32 rows side by side, so that neighbours in memory are the lanes of a vector
register. A code becomes a float32 number in its register and nowhere else, and the row keeps its own numbers: the
result is that of the dequantised matrix, but for the order of sums. (llama.cpp rounds the row to 8 bits and multiplies
whole numbers. In these lanes, that took 1.6 times as long for 8 bits and four fifths for 4, and products were off by
0.5 %.)

It stands alone, as importing it imports Numba, and compiles for seconds where no cache holds what was compiled.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Floats = NDArray[np.float32]
BLOCK = 32

Q8_0 = "void(int8[:,:,:,::1], float32[:,:,::1], float32[::1], float32[::1]{})"
Q4_0 = Q8_0.replace("int8", "uint8")


@njit(Q8_0.format(""), cache=True, fastmath=True, nogil=True)
def q8_0_product(codes: NDArray[np.int8], scales: Floats, row: Floats, outputs: Floats) -> None:
    """Write weights · row into outputs, on one thread.

    Args:
        codes: of shape (groups of rows, blocks of a row, 32, lanes); the lanes are the rows of a group.
        scales: of shape (groups, blocks, lanes).
        row: as long as a row of the matrix.
        outputs: one number for each lane of each group.
    """
    lanes = codes.shape[3]
    for group in range(codes.shape[0]):
        outputs[group * lanes : (group + 1) * lanes] = 0
        for block in range(codes.shape[1]):
            for lane in range(lanes):
                total = np.float32(0)
                for place in range(BLOCK):  # unrolled, as its length is known; the loop over lanes becomes vectors
                    total += np.float32(codes[group, block, place, lane]) * row[block * BLOCK + place]
                outputs[group * lanes + lane] += total * scales[group, block, lane]


@njit(Q4_0.format(""), cache=True, fastmath=True, nogil=True)
def q4_0_product(codes: NDArray[np.uint8], scales: Floats, row: Floats, outputs: Floats) -> None:
    """As `q8_0_product`; a byte holds codes i (low) and i + 16 of a block, each with 8 added."""
    lanes, half = codes.shape[3], BLOCK // 2
    eights = np.empty(codes.shape[1], np.float32)  # what the added 8 adds to the sum of a block
    for block in range(codes.shape[1]):
        total = np.float32(0)
        for place in range(BLOCK):
            total += row[block * BLOCK + place]
        eights[block] = 8 * total
    for group in range(codes.shape[0]):
        outputs[group * lanes : (group + 1) * lanes] = 0
        for block in range(codes.shape[1]):
            for lane in range(lanes):
                total = -eights[block]
                for place in range(half):
                    code, at = codes[group, block, place, lane], block * BLOCK + place
                    total += (
                        np.float32(np.int32(code & 15)) * row[at] + np.float32(np.int32(code >> 4)) * row[at + half]
                    )
                outputs[group * lanes + lane] += total * scales[group, block, lane]


# A loop that Numba makes parallel is not vectorised, so the loops above stay as they are and get a part of the groups.


@njit(Q8_0.format(", int64"), cache=True, parallel=True)
def q8_0_product_parallel(
    codes: NDArray[np.int8], scales: Floats, row: Floats, outputs: Floats, threads: int
) -> None:  # fmt: skip
    """As `q8_0_product`, on so many threads."""
    groups, lanes = codes.shape[0], codes.shape[3]
    for part in prange(threads):
        begin, end = groups * part // threads, groups * (part + 1) // threads
        q8_0_product(codes[begin:end], scales[begin:end], row, outputs[begin * lanes : end * lanes])


@njit(Q4_0.format(", int64"), cache=True, parallel=True)
def q4_0_product_parallel(
    codes: NDArray[np.uint8], scales: Floats, row: Floats, outputs: Floats, threads: int
) -> None:  # fmt: skip
    """As `q4_0_product`, on so many threads."""
    groups, lanes = codes.shape[0], codes.shape[3]
    for part in prange(threads):
        begin, end = groups * part // threads, groups * (part + 1) // threads
        q4_0_product(codes[begin:end], scales[begin:end], row, outputs[begin * lanes : end * lanes])


# --- whole matrices, for products with many rows ---------------------------------------------------------------------


@njit("void(int8[:,:,:,::1], float32[:,:,::1], float32[:,::1])", cache=True, nogil=True)
def q8_0_columns(codes: NDArray[np.int8], scales: Floats, columns: Floats) -> None:
    """Write the dequantised matrix, turned over: a row of `columns` is a column of the matrix."""
    lanes = codes.shape[3]
    for group in range(codes.shape[0]):
        for block in range(codes.shape[1]):
            for place in range(BLOCK):
                for lane in range(lanes):
                    value = np.float32(codes[group, block, place, lane]) * scales[group, block, lane]
                    columns[block * BLOCK + place, group * lanes + lane] = value


@njit("void(uint8[:,:,:,::1], float32[:,:,::1], float32[:,::1])", cache=True, nogil=True)
def q4_0_columns(codes: NDArray[np.uint8], scales: Floats, columns: Floats) -> None:
    """As `q8_0_columns`."""
    lanes, half = codes.shape[3], BLOCK // 2
    for group in range(codes.shape[0]):
        for block in range(codes.shape[1]):
            for place in range(half):
                for lane in range(lanes):
                    code, scale = np.int32(codes[group, block, place, lane]), scales[group, block, lane]
                    at, to = block * BLOCK + place, group * lanes + lane
                    columns[at, to] = np.float32((code & 15) - 8) * scale
                    columns[at + half, to] = np.float32((code >> 4) - 8) * scale
