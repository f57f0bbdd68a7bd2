"""A read-only filesystem of modules in one file: importing from it takes half the time.

MicroPython looks for a module three times (folder, source, bytecode), and littlefs walks from the root each time; then it reads
in pieces of some bytes. Layout of the file, all numbers little-endian in four bytes: how many paths there are; the CRC-32 of
every path (the builder knows that they differ); for each the offset of its module from here on, or 0 for a folder; then the
modules, each after its size. Paths themselves would cost the device 3 kB.
"""

import io
import sys
from binascii import crc32

NAME = "modules.pack"
MOUNTED_AT = "/modules"
FOLDER = 0x4000
FILE = 0x8000
NO_ENTRY = 2
GET_BUFFER_SIZE = 11  # MicroPython's request to a stream: how much do you want to be asked for at once?
PIECE_BYTES = 512
NUMBER_BYTES = 4
mounted = []  # type: list[Archive]  # the one, for whoever has to reopen it


def mount():
    """Let `interposer` be imported, and what is built in without a look at the flash; nothing else can be."""
    import vfs

    mounted.append(Archive(NAME))
    vfs.mount(mounted[0], MOUNTED_AT)
    sys.path[:] = [MOUNTED_AT]
    __import__("interposer")  # its modules are found through it from now on
    sys.path[:] = [".frozen"]


class Archive:
    """What `vfs.mount` and `import` ask of a filesystem, and no more."""

    def __init__(self, name):
        self.name = name
        self.open_again()
        size = self.number() * NUMBER_BYTES
        self.paths = self.file.read(size)
        self.offsets = self.file.read(size)
        self.start = self.file.tell()

    def open_again(self):
        """Open the file; after `umount` once more, on the filesystem that is mounted by then."""
        self.file = open(self.name, "rb")  # noqa: SIM115 - stays open as long as it is mounted
        self.member = Member(self.file)

    def number(self):
        """The next number of the file."""
        return int.from_bytes(self.file.read(NUMBER_BYTES), "little")

    def offset(self, path):
        """Where a path's module lies, 0 for a folder. Raises OSError where there is nothing."""
        key = crc32(path.encode()).to_bytes(NUMBER_BYTES, "little")
        at = self.paths.find(key)
        while at > 0 and at % NUMBER_BYTES:
            at = self.paths.find(key, at + 1)
        if at < 0:
            raise OSError(NO_ENTRY)
        return int.from_bytes(self.offsets[at : at + NUMBER_BYTES], "little")

    def mount(self, _readonly, _mkfs):
        """Nothing to prepare."""

    def umount(self):
        """Let the file go."""
        self.file.close()

    def stat(self, path):
        """Ten numbers, of which `import` reads the first. Raises OSError where there is nothing."""
        return (FILE if self.offset(path) else FOLDER, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    def open(self, path, _mode):
        """The one stream, at the beginning of a file: import never has two open."""
        self.file.seek(self.start + self.offset(path))
        self.member.left = self.number()
        return self.member


class Member(io.IOBase):
    """As many bytes of a file as are `left` of one module."""

    def __init__(self, file):
        self.file = file
        self.left = 0

    def readinto(self, buffer):
        """Fill `buffer` as far as the module reaches; how many bytes that were."""
        count = self.file.readinto(memoryview(buffer)[: self.left])
        self.left -= count
        return count

    def ioctl(self, request, _argument):
        """The size that is read at once; whatever else is asked (closing) is granted."""
        return PIECE_BYTES if request == GET_BUFFER_SIZE else 0
