"""Fragmented mp4, written and read back: a header, then fragments of which each is whole or not there.

PyAV's muxer holds the last picture back until the next one comes, and cannot be told to hand out what it has; where
the camera stalls, or the power goes with the camera, that picture is lost. Here a fragment is a string of bytes, made
when the recorder wants it. Boxes are those of ISO/IEC 14496-12 (file) and 14496-15 (H.264 in it).

    ftyp moov(mvhd trak mvex) free  then for each fragment  moof(mfhd traf(tfhd tfdt trun)) mdat free(checksum)

Players pass over the `free` boxes. The checksum tells a whole fragment from one whose blocks a power cut kept from the
disk, on any file system. The first one becomes the index (sidx) when the file is closed: without it a browser fetches
the whole file before it shows the first picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from edgeseg.sinks.h264 import BT601
from edgeseg.sinks.mp4 import TIME_BASE

#: NAL unit types of ITU-T H.264, table 7-1.
_IDR, _SPS, _PPS, _DELIMITER = 5, 7, 8, 9
_PICTURE = range(1, 6)

#: Flags of a sample (14496-12, 8.8.3.1): decodable by itself, or not a sync sample and dependent on others.
_SYNC, _NOT_SYNC = 0x0200_0000, 0x0101_0000

_CHECKSUM = b"crc32"
_CHECKSUM_SIZE = 8 + len(_CHECKSUM) + 4

#: Of an index without and of each of its references, in bytes; a reference leads to one keyframe.
_INDEX_SIZE, _REFERENCE_SIZE = 40, 12
_LARGEST_INDEX = 2**20

#: Only what was written after the last flush can be damaged; a recorder at 50 Mbit/s writes this much in a second.
_UNSURE_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """What a decoder must know before the first picture: one sequence and one picture parameter set."""

    sequence: bytes
    picture: bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """One coded picture as mp4 holds it. pts: ticks of TIME_BASE since the file's first picture."""

    data: bytes
    pts: int
    keyframe: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """A whole fragment as it lies in a file: its bytes from `at` to `until`, its pictures from `start` to `end`."""

    at: int
    until: int
    start: int
    end: int
    pictures: int
    keyframe: bool


@dataclass(frozen=True, slots=True)
class Whole:
    """How much of a file is whole; without fragments nothing of it is."""

    fragments: Sequence[Fragment] = ()

    @property
    def size(self) -> int:
        """In bytes."""
        return self.fragments[-1].until if self.fragments else 0

    @property
    def duration(self) -> int:
        """In ticks of TIME_BASE, from the beginning of the file."""
        return self.fragments[-1].end if self.fragments else 0

    @property
    def pictures(self) -> int:
        return sum(it.pictures for it in self.fragments)


def read_access_unit(data: bytes, pts: int) -> tuple[Sample | None, ParameterSets | None]:
    """Takes an encoder's packet (H.264 Annex B) apart: the picture in it, and the parameter sets, as far as they are.

    Parameter sets stand in the header of the file, so they are taken out of the picture.
    """
    sets: dict[int, bytes] = {}
    kept: list[bytes] = []
    shown = keyframe = False
    for unit in data.split(b"\x00\x00\x01"):
        # A unit never ends in a zero byte; the one before a start code of four bytes is padding.
        unit = unit.rstrip(b"\x00")
        if not unit:
            continue
        kind = unit[0] & 0x1F
        if kind in (_SPS, _PPS):
            sets[kind] = unit
        elif kind != _DELIMITER:
            kept += [struct.pack(">I", len(unit)), unit]
            shown |= kind in _PICTURE
            keyframe |= kind == _IDR
    sample = Sample(b"".join(kept), pts, keyframe) if shown else None
    return sample, ParameterSets(sets[_SPS], sets[_PPS]) if len(sets) == 2 else None


def write_header(width: int, height: int, sets: ParameterSets, references: int) -> bytes:
    """Returns all that stands before the first fragment, with room for an index of so many references."""
    scale = TIME_BASE.denominator
    unity = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000)
    movie = struct.pack(">IIII", 0, 0, scale, 0) + struct.pack(">IHHII", 0x10000, 0x100, 0, 0, 0) + unity
    movie += bytes(24) + struct.pack(">I", 2)
    track = struct.pack(">IIIII", 0, 0, 1, 0, 0) + bytes(8) + struct.pack(">HHHH", 0, 0, 0, 0) + unity
    track += struct.pack(">II", width << 16, height << 16)
    media = struct.pack(">IIIIHH", 0, 0, scale, 0, 0x55C4, 0)
    handler = struct.pack(">I4s12x", 0, b"vide") + b"edgeseg\x00"
    tables = _box(b"stsd", _full(0), struct.pack(">I", 1), _sample_entry(width, height, sets))
    tables += b"".join(_box(kind, _full(0), struct.pack(">I", 0)) for kind in (b"stts", b"stsc"))
    tables += _box(b"stsz", _full(0), struct.pack(">II", 0, 0)) + _box(b"stco", _full(0), struct.pack(">I", 0))
    place = _box(b"dinf", _box(b"dref", _full(0), struct.pack(">I", 1), _box(b"url ", _full(1))))
    header = _box(b"ftyp", b"iso5", struct.pack(">I", 0x200), b"iso5iso6mp41avc1") + _box(
        b"moov",
        _box(b"mvhd", _full(0), movie),
        _box(
            b"trak",
            _box(b"tkhd", _full(3), track),
            _box(
                b"mdia",
                _box(b"mdhd", _full(0), media),
                _box(b"hdlr", _full(0), handler),
                _box(b"minf", _box(b"vmhd", _full(1), bytes(8)), place, _box(b"stbl", tables)),
            ),
        ),
        _box(
            b"mvex",
            _box(b"mehd", _full(0, version=1), bytes(8)),
            _box(b"trex", _full(0), struct.pack(">IIIII", 1, 1, 0, 0, 0)),
        ),
    )
    return header + _box(b"free", bytes(_INDEX_SIZE - 8 + _REFERENCE_SIZE * references))


def write_fragment(number: int, samples: Sequence[Sample], end: int) -> bytes:
    """Returns fragment `number`, from 1, of a file; `end` is where its last picture gives way to the next, in ticks."""
    ends = [sample.pts for sample in samples[1:]] + [end]
    entries = b"".join(
        struct.pack(">III", max(0, until - it.pts), len(it.data), _SYNC if it.keyframe else _NOT_SYNC)
        for it, until in zip(samples, ends, strict=True)
    )
    # trun: where the data begins, and for each sample duration, size and flags.
    head_size = 8 + 16 + 8 + 16 + 20 + 20 + len(entries)
    fragment = _box(
        b"moof",
        _box(b"mfhd", _full(0), struct.pack(">I", number)),
        _box(
            b"traf",
            _box(b"tfhd", _full(0x020000), struct.pack(">I", 1)),
            _box(b"tfdt", _full(0, version=1), struct.pack(">Q", samples[0].pts)),
            _box(b"trun", _full(0x000701), struct.pack(">II", len(samples), head_size + 8), entries),
        ),
    ) + _box(b"mdat", *(sample.data for sample in samples))
    return fragment + _box(b"free", _CHECKSUM, struct.pack(">I", zlib.crc32(fragment)))


def complete_file(file: BinaryIO) -> Whole:
    """Cuts a file after its last whole fragment and writes duration and index into its header; returns what it holds.

    May be cut off itself and called again: whatever it has changed is written anew. A file that holds no whole fragment
    is left as it is.
    """
    whole = find_whole(file)
    if whole.fragments:
        file.truncate(whole.size)
        file.seek(0)
        head = bytearray(file.read(whole.fragments[0].at))
        moov = head.index(b"moov") - 4
        moov_end = moov + int(struct.unpack_from(">I", head, moov)[0])
        struct.pack_into(">Q", head, head.index(b"mehd", moov, moov_end) + 8, whole.duration)
        head[moov_end:] = _write_index(whole, len(head) - moov_end)
        file.seek(0)
        file.write(head)
        file.flush()
    return whole


def _write_index(whole: Whole, room: int) -> bytes:
    """Returns `room` bytes that lead a player to every group of fragments that begins with a keyframe."""
    most = (room - _INDEX_SIZE) // _REFERENCE_SIZE
    groups = [it for it in whole.fragments if it.keyframe]
    # More of them than a steady rate gives: every second, third... one is enough.
    groups = groups[:: -(-len(groups) // most)]
    ends = groups[1:]
    references = b"".join(
        struct.pack(">III", until - it.at, end - it.start, 0x9000_0000)
        for it, until, end in zip(
            groups, [it.at for it in ends] + [whole.size], [it.start for it in ends] + [whole.duration], strict=True
        )
    )
    index = struct.pack(">IIQQHH", 1, TIME_BASE.denominator, 0, 0, 0, len(groups))
    index = _box(b"sidx", _full(0, version=1), index, references)
    # FFmpeg 8, and so Chromium, takes the index for incomplete unless the first fragment follows it at once.
    return (_box(b"free", bytes(room - len(index) - 8)) if len(index) < room else b"") + index


def find_whole(file: BinaryIO) -> Whole:
    """Returns how much of a file that `write_header` and `write_fragment` made is whole, wherever it was cut off."""
    size = file.seek(0, 2)
    at = 0
    for kind in (b"ftyp", b"moov"):
        length = _size_of(file, at, kind)
        if length is None or at + length > size:
            return Whole()
        at += length
    # What lies between may be half an index, if the power went while it was written.
    file.seek(at)
    first = file.read(_LARGEST_INDEX).find(b"moof")
    fragments: list[Fragment] = []
    at += first - 4
    while first >= 4 and (found := _read_fragment(file, at, size, len(fragments) + 1)) is not None:
        fragments.append(found)
        at = found.until
    return Whole(fragments)


def _read_fragment(file: BinaryIO, at: int, size: int, number: int) -> Fragment | None:
    """Returns the fragment at byte `at` of `size`; None when it is not whole, or not this one."""
    head_size = _size_of(file, at, b"moof")
    if head_size is None or head_size < 88 + 12 or at + head_size > size:
        return None
    file.seek(at)
    head = file.read(head_size)
    found, start, count = struct.unpack_from(">20xI36xQ12xI", head)
    data_size = _size_of(file, at + head_size, b"mdat")
    if found != number or head_size != 88 + 12 * count or data_size is None:
        return None
    until = at + head_size + data_size + _CHECKSUM_SIZE
    if until > size:
        return None
    if until > size - _UNSURE_BYTES:
        file.seek(at)
        content = file.read(until - at)
        checksum = struct.pack(">I", zlib.crc32(content[:-_CHECKSUM_SIZE]))
        if content[-_CHECKSUM_SIZE:] != _box(b"free", _CHECKSUM, checksum):
            return None
    entries = list(struct.iter_unpack(">III", head[88:]))
    end = start + sum(duration for duration, _, _ in entries)
    return Fragment(at, until, start, end, count, entries[0][2] == _SYNC)


def _size_of(file: BinaryIO, at: int, kind: bytes) -> int | None:
    file.seek(at)
    head = file.read(8)
    if len(head) < 8 or head[4:] != kind:
        return None
    length: int = struct.unpack(">I", head[:4])[0]
    return length if length >= 8 else None


def _sample_entry(width: int, height: int, sets: ParameterSets) -> bytes:
    profile = sets.sequence[1:4]
    configuration = b"\x01" + profile + b"\xff\xe1" + struct.pack(">H", len(sets.sequence)) + sets.sequence
    configuration += b"\x01" + struct.pack(">H", len(sets.picture)) + sets.picture
    if profile[0] in (100, 110, 122, 144):
        # High profiles say again: 4:2:0, 8 bits, no further sets.
        configuration += b"\xfd\xf8\xf8\x00"
    entry = bytes(6) + struct.pack(">H16xHHIIIH32sHh", 1, width, height, 0x480000, 0x480000, 0, 1, b"", 0x18, -1)
    colours = b"nclx" + struct.pack(">HHHB", BT601, BT601, BT601, 0)
    return _box(b"avc1", entry, _box(b"avcC", configuration), _box(b"colr", colours))


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def _full(flags: int, *, version: int = 0) -> bytes:
    return struct.pack(">I", version << 24 | flags)
