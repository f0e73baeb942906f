"""Reads the lazy-load data base of an R package (Rdata.rdx, Rdata.rdb) into Python values.

The index (.rdx) is a compressed R serialisation that tells where each object lies in the .rdb file. Format: R Internals,
sections 1.8 (serialisation) and 1.14 (lazy loading); serialize.c of R 4.
"""

import bz2
import gzip
import lzma
import struct
import zlib
from dataclasses import dataclass, field

NULL, END = 254, 242  # two codes of "nothing": a NULL value, the empty environment
NO_CONTENT = {END, 241, 251, 253}  # environments every R session has of its own
SYMBOL, PAIR_LIST, STRING, LOGICAL, INTEGER, REAL, STRINGS, LIST = 1, 2, 9, 10, 13, 14, 16, 19
REFERENCE, COMPACT = 255, 238


@dataclass
class Vector:
    """An R vector or list and its attributes (names, levels, class...)."""

    values: list
    attributes: dict = field(default_factory=dict)

    def named(self):
        return dict(zip(self.attributes["names"].values, self.values))

    def labels(self):
        """The words of a factor, which is stored as indices from 1 into its levels."""
        levels = self.attributes["levels"].values
        return [levels[i - 1] for i in self.values]


class Reader:
    """One R serialisation in XDR form (big-endian)."""

    def __init__(self, data):
        if data[:2] != b"X\n":
            raise ValueError("not an R serialisation in XDR form")
        self.data, self.at, self.symbols = data, 2, []
        version = self.integer()
        self.take(8)  # the versions of the writer and of the oldest reader
        if version == 3:
            self.take(self.integer())  # the name of the native encoding

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise ValueError("R serialisation: cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self):
        return struct.unpack(">i", self.take(4))[0]

    def numbers(self, code, size):
        count = self.integer()
        return list(struct.unpack(f">{count}{code}", self.take(count * size)))

    def item(self):
        flags = self.integer()
        kind, has_attributes, has_tag = flags & 255, flags >> 9 & 1, flags >> 10 & 1
        if kind == NULL or kind in NO_CONTENT:
            return None
        if kind == REFERENCE:
            return self.symbols[(flags >> 8 or self.integer()) - 1]
        if kind == SYMBOL:
            self.symbols.append(self.item())
            return self.symbols[-1]
        if kind == STRING:
            count = self.integer()
            return None if count < 0 else self.take(count).decode("utf-8", "replace")
        if kind == PAIR_LIST:
            return self.pair_list(has_attributes, has_tag)
        if kind == COMPACT:  # how to make the vector, what of, attributes: the second is all we need
            return [self.item() for _ in range(3)][1]
        return self.vector(kind, has_attributes)

    def pair_list(self, has_attributes, has_tag):
        pairs = {}
        while True:
            if has_attributes:
                self.item()
            tag = self.item() if has_tag else len(pairs)
            pairs[tag] = self.item()
            flags = self.integer()
            has_attributes, has_tag = flags >> 9 & 1, flags >> 10 & 1
            if flags & 255 != PAIR_LIST:  # NULL ends the list
                return pairs

    def vector(self, kind, has_attributes):
        if kind in (LOGICAL, INTEGER):
            values = self.numbers("i", 4)
        elif kind == REAL:
            values = self.numbers("d", 8)
        elif kind in (STRINGS, LIST):
            values = [self.item() for _ in range(self.integer())]
        else:
            raise ValueError(f"R serialisation: type {kind} at byte {self.at} is not known here")
        return Vector(values, self.item() or {} if has_attributes else {})


def unpack(record):
    """One record of an .rdb file: its size, a letter for the compression (none: plain zlib), the compressed bytes."""
    size, kind, body = struct.unpack(">I", record[:4])[0], record[4:5], record[5:]
    if kind == b"Z":
        data = lzma.decompress(body, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6}])
    elif kind == b"2":
        data = bz2.decompress(body)
    elif kind == b"1":
        data = zlib.decompress(body)
    elif kind == b"0":
        data = body
    else:
        data = zlib.decompress(record[4:])
    if len(data) != size:
        raise ValueError(f"R data base: a record holds {len(data)} bytes, its head says {size}")
    return data


def unpack_index(data):
    for start, decompress in (
        (b"\x1f\x8b", gzip.decompress),
        (b"BZh", bz2.decompress),
        (b"\xfd7zXZ", lzma.decompress),
    ):
        if data.startswith(start):
            return decompress(data)
    return zlib.decompress(data)


def load(folder, name):
    """The object called `name` in the data base Rdata.rdx, Rdata.rdb of `folder` (a pathlib.Path)."""
    index = Reader(unpack_index((folder / "Rdata.rdx").read_bytes())).item().named()
    offset, size = index["variables"].named()[name].values
    with open(folder / "Rdata.rdb", "rb") as file:
        file.seek(offset)
        return Reader(unpack(file.read(size))).item()
