"""What a disk may hold after a power cut, from what shim.c noted.

A file holds what it held at its last fsync; each write since then is there, is not, or is there in
part. A folder has the names that it had at its last fsync, and the first ones of what was changed
since. A name that moves from one folder to another is in one of them, never in both or neither.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path

# What survives: nothing that was not synced; names alone; contents alone; everything, as after a
# kill; each thing by chance.
MODES = ["nothing", "names", "contents", "everything", "chance"]
SECTOR = 512


@dataclass(eq=False)
class File:
    durable: bytes = b""
    since: list = field(default_factory=list)


@dataclass(eq=False)
class Folder:
    durable: dict = field(default_factory=dict)
    live: dict = field(default_factory=dict)
    since: list = field(default_factory=list)


class Change:
    """Names that come and go together."""

    def __init__(self, *parts):
        self.parts = parts  # (folder, name, what it stands for from now on; None: nothing)
        for folder, name, entry in parts:
            folder.live.pop(name, None) if entry is None else folder.live.__setitem__(name, entry)
        for folder in self.folders():
            folder.since.append(self)

    def folders(self):
        return {id(folder): folder for folder, _, _ in self.parts}.values()

    def settle(self):
        for folder, name, _ in self.parts:
            for earlier in folder.since[: folder.since.index(self)]:
                if earlier in folder.since and any(part[:2] == (folder, name) for part in earlier.parts):
                    earlier.settle()
        for folder, name, entry in self.parts:
            folder.durable.pop(name, None) if entry is None else folder.durable.__setitem__(name, entry)
        for folder in self.folders():
            folder.since.remove(self)


def notes(log: bytes) -> list:
    """The notes of a log: letter, name, inode, offset, data."""
    (used,) = struct.unpack_from("<Q", log)
    found, at = [], 8
    while at < 8 + used:
        letter, name_len, inode, offset, data_len = struct.unpack_from("<c3xIQQI4x", log, at)
        at += 32
        name, data = log[at : at + name_len].decode(), log[at + name_len : at + name_len + data_len]
        found.append((letter.decode(), name, inode, offset, data))
        at += name_len + data_len
    return found


def written(content: bytes, offset: int, data: bytes) -> bytes:
    content = content.ljust(offset, b"\0")
    return content[:offset] + data + content[offset + len(data) :]


def cut_to(content: bytes, length: int) -> bytes:
    return content[:length].ljust(length, b"\0")


class Disk:
    """A folder as it was before a program ran, and what the program did to it."""

    def __init__(self, before: dict, inodes: dict):
        self.root, self.files = Folder(), {}
        for name, content in sorted(before.items()):
            entry = Folder() if content is None else File(content)
            folder, last = self._at(name)
            folder.durable[last] = folder.live[last] = entry
            if content is not None:
                self.files[inodes[name]] = entry

    def _at(self, name: str):
        folder = self.root
        *way, last = name.split("/")
        for part in way:
            folder = folder.live[part]
        return folder, last

    def note(self, note):
        letter, name, inode, offset, data = note
        file = self.files.get(inode)
        match letter:
            case "C":
                file = self.files[inode] = File()
                if name:
                    Change((*self._at(name), file))
            case "L":
                Change((*self._at(name), file))
            case "W" | "T":
                file.since.append((letter, offset, data))
            case "S":
                file.durable, file.since = self.content(file), []
            case "D":
                folder = self.root
                for part in name.split("/") if name else []:
                    folder = folder.live[part]
                for change in list(folder.since):
                    change.settle()
            case "R":
                old, new = self._at(name), self._at(data.decode())
                entry = old[0].live[old[1]]
                Change((*old, None), (*new, entry))
            case "U" | "X":
                Change((*self._at(name), None))
            case "M":
                Change((*self._at(name), Folder()))

    @staticmethod
    def content(file: File, survives=lambda length: length) -> bytes:
        """What a file holds, if of each change since its last fsync so much survives."""
        content = file.durable
        for letter, offset, data in file.since:
            if letter == "W":
                content = written(content, offset, data[: survives(len(data))]) if survives(1) else content
            elif survives(1):
                content = cut_to(content, offset)
        return content

    def after_a_cut(self, mode: str, chance) -> dict:
        """Contents by name (None: a folder) that a disk may have now."""
        bias = chance.random()

        def survives(length: int) -> int:
            if mode != "chance":
                return length if mode in ("contents", "everything") else 0
            if chance.random() < bias:
                return length
            return chance.randrange(0, length, SECTOR) if length > SECTOR and chance.random() < 0.3 else 0

        counted = {}

        def is_there(change: Change) -> bool:
            if mode != "chance":
                return mode in ("names", "everything")
            # It is as soon as the first of its folders has come so far.
            for folder in change.folders():
                kept = counted.setdefault(id(folder), chance.randint(0, len(folder.since)))
                if folder.since.index(change) < kept:
                    return True
            return False

        def entries(folder: Folder) -> dict:
            names = dict(folder.durable)
            for change in folder.since:
                if is_there(change):
                    for of, name, entry in change.parts:
                        if of is folder:
                            names.pop(name, None) if entry is None else names.__setitem__(name, entry)
            return names

        found = {}

        def walk(folder: Folder, way: str):
            for name, entry in entries(folder).items():
                if isinstance(entry, Folder):
                    found[way + name] = None
                    walk(entry, way + name + "/")
                else:
                    found[way + name] = self.content(entry, survives)

        walk(self.root, "")
        return found


def put(found: dict, root: Path):
    """Makes a folder of names and contents."""
    for name, content in sorted(found.items()):
        path = root / name
        if content is None:
            path.mkdir(mode=0o700, parents=True)
        else:
            path.write_bytes(content)
            path.chmod(0o600)


def inodes(root: Path) -> dict:
    """Numbers of files by name."""
    return {str(path.relative_to(root)): path.stat().st_ino for path in root.rglob("*") if path.is_file()}


def snapshot(root: Path) -> dict:
    """Names and contents below a folder, without indexes of SQLite."""
    found = {}
    for path in sorted(root.rglob("*")):
        if not path.name.endswith("-shm"):
            found[str(path.relative_to(root))] = None if path.is_dir() else path.read_bytes()
    return found
