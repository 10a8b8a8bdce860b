"""The yes and no that Anki keeps in a profile's pickle, read and changed without unpickling it.

A row of prefs21.db is the pickle of one flat dict (qt/aqt/profiles.py, ProfileManager._pickle), and loading a pickle
may run anything. So its opcodes are walked as `pickletools` reads them, on a stack that holds only what matters here:
the dicts, the names looked for, and the opcodes that stand for True and False. A flag whose opcode is consumed exactly
once, as the value of such a name in the outermost dict, can be changed in place: one byte, and all else means what it
meant.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Anki's own are a few kilobytes and some hundred opcodes; add-ons may put theirs beside them.
_LARGEST: Final = 4 << 20
_MOST_OPCODES: Final = 200_000

_TEXTS: Final = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
# What Python 2 wrote; Anki's Unpickler reads them as ASCII and leaves out what isn't (errors="ignore").
_BYTES_AS_TEXTS: Final = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING"})
_SCALARS: Final = frozenset(
    {"NONE", "INT", "BININT", "BININT1", "BININT2", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
# As keys, thousands of these can be made up to share one hash.
_LARGE_NUMBERS: Final = frozenset({"LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"})
_NEW_CONTAINERS: Final = frozenset({"EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_SET"})
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_OF_A_SLICE: Final = frozenset({"TUPLE", "LIST", "FROZENSET"})
_INTO_A_CONTAINER: Final = frozenset({"APPENDS", "ADDITEMS"})
_PUTS: Final = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS: Final = frozenset({"GET", "BINGET", "LONG_BINGET"})
_NOTHING: Final = frozenset({"PROTO", "FRAME"})

_DAMAGED: Final = "it is damaged, cut short, or of a time before Anki 2.1"

_TRUE: Final = b"\x88"
_FALSE: Final = b"\x89"
_FRAME: Final = b"\x95"
_FRAME_HEADER: Final = 9


class PickleUnclearError(ValueError):
    """A pickle is not what Anki writes, so nothing in it may be changed. Its text ends a sentence: "it is no dict"."""


@dataclass(eq=False, slots=True)
class _Value:
    """Anything on the stack that is none of the below."""

    scalar: bool = False
    """Text, bytes, a small number, True, False or None."""
    made: bool = False
    """By a call that is not made here, so it might be, or equal, anything."""


@dataclass(eq=False, slots=True)
class _Mark(_Value):
    pass


@dataclass(eq=False, slots=True)
class _Text(_Value):
    text: str = ""


@dataclass(eq=False, slots=True)
class _Flag(_Value):
    offset: int = 0
    """Where in the pickle the byte lies that makes it True or False."""
    on: bool = False
    protocol_0: bool = False
    uses: int = 1


@dataclass(eq=False, slots=True)
class _Dict(_Value):
    flags: dict[str, list[_Value]] = field(default_factory=dict)
    unclear_key: bool = False
    inside: bool = False
    """It is, or was given to, a part of something else."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things lie in a pickle that was walked to its end."""

    flags: Mapping[str, _Flag]
    stop: int
    frame: int | None
    """Where the last frame begins that holds the end."""
    plain: bool
    """Nothing but literals, and only scalars as keys: loading it takes no more time and memory than it is long."""


def flags_in(data: bytes, names: frozenset[str]) -> dict[str, bool]:
    """What the outermost dict of the pickle `data` says of each of `names` that it holds.

    Raises PickleUnclearError unless there is one dict, which holds each name no more than once, as True or False.
    """
    return {name: flag.on for name, flag in _walked(data, names).flags.items()}


def with_flags(data: bytes, wanted: Mapping[str, bool]) -> bytes:
    """The pickle `data` with the flags `wanted` in its outermost dict, and all else bit for bit as it was.

    A name that is there costs one changed byte. One that is not is set as the last thing before the end: there the dict
    lies on top of the stack, so a key, a value and SETITEM can mean nothing else.

    Raises PickleUnclearError as `flags_in` does. What it returns has been walked again, and loaded where that can do no
    harm.
    """
    names = frozenset(wanted)
    before = _walked(data, names)
    changed = bytearray(data)
    for name, flag in before.flags.items():
        yes, no = (ord("1"), ord("0")) if flag.protocol_0 else (_TRUE[0], _FALSE[0])
        changed[flag.offset] = yes if wanted[name] else no
    added = b"".join(
        _binary_text(name) + (_TRUE if on else _FALSE) + b"s" for name, on in wanted.items() if name not in before.flags
    )
    if added and before.frame is not None:
        length = slice(before.frame + 1, before.frame + _FRAME_HEADER)
        changed[length] = (int.from_bytes(changed[length], "little") + len(added)).to_bytes(8, "little")
    changed[before.stop : before.stop] = added
    result = bytes(changed)
    after = _walked(result, names)
    if {name: flag.on for name, flag in after.flags.items()} != dict(wanted):
        raise PickleUnclearError("its values can't be set")
    if after.plain:
        _check_by_loading(result, wanted)
    return result


def _binary_text(text: str) -> bytes:
    encoded = text.encode()
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


class _CallsNothing(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> object:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")


def _check_by_loading(data: bytes, wanted: Mapping[str, bool]) -> None:
    """Ask the one who will read it in the end. Only `plain` pickles come here: the hash of a tuple that is nested deep
    enough takes all of the stack, or for ever."""
    try:
        loaded = _CallsNothing(io.BytesIO(data), errors="ignore").load()
    except Exception as error:  # any kind may be raised, says the documentation of UnpicklingError
        raise PickleUnclearError(f"it can't be loaded ({type(error).__name__})") from error
    if type(loaded) is not dict or any(loaded.get(name) is not on for name, on in wanted.items()):
        raise PickleUnclearError("its values can't be set")


def _walked(data: bytes, names: frozenset[str]) -> _Layout:
    if len(data) > _LARGEST:
        raise PickleUnclearError(f"it is larger than {_LARGEST >> 20} MiB")
    walk = _Walk(names)
    try:
        for number, (opcode, argument, position) in enumerate(pickletools.genops(data)):
            if position is None or number > _MOST_OPCODES:
                raise PickleUnclearError(f"it has more than {_MOST_OPCODES} steps")
            walk.step(opcode, argument, position)
    except PickleUnclearError:
        raise
    # What genops finds wrong is a ValueError; the stack or the memo may lack what an opcode asks for.
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise PickleUnclearError(_DAMAGED) from error
    return walk.layout(data)


class _Walk:
    """The machine that a pickle's opcodes drive (Python's Lib/pickletools.py describes it), with nothing called."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._stack: list[_Value] = []
        self._memo: dict[int, _Value] = {}
        self._plain = True
        self._stop: int | None = None
        self._frame: tuple[int, int] | None = None

    def step(self, opcode: pickletools.OpcodeInfo, argument: object, position: int) -> None:
        """Take one opcode. Raises PickleUnclearError, IndexError or KeyError where it makes no sense."""
        name, stack = opcode.name, self._stack
        if name in _NOTHING:
            if name == "FRAME" and isinstance(argument, int):
                self._frame = (position, position + _FRAME_HEADER + argument)
        elif name in _TEXTS or name in _BYTES_AS_TEXTS:
            stack.append(self._text(str(argument), legacy=name in _BYTES_AS_TEXTS))
        elif name in ("NEWTRUE", "NEWFALSE"):
            stack.append(_Flag(scalar=True, offset=position, on=name == "NEWTRUE"))
        elif name == "INT" and isinstance(argument, bool):
            # `I01` and `I00` were the only spelling of True and False up to protocol 1.
            stack.append(_Flag(scalar=True, offset=position + 2, on=argument, protocol_0=True))
        elif name in _SCALARS:
            stack.append(_Value(scalar=True))
        elif name in _NEW_CONTAINERS or name in _LARGE_NUMBERS:
            self._plain &= name != "EMPTY_SET"
            stack.append(_Value())
        elif name == "MARK":
            stack.append(_Mark())
        elif name == "STOP":
            self._stop = position
        elif not self._memorised(name, argument):
            self._combined(name, opcode)

    def layout(self, data: bytes) -> _Layout:
        """What was found, once the last opcode has been taken."""
        if self._stop is None or len(self._stack) != 1:
            raise PickleUnclearError("it does not end as it should")
        outermost = self._stack[0]
        if not isinstance(outermost, _Dict):
            raise PickleUnclearError("it is no dict")
        if outermost.inside or outermost.unclear_key:
            raise PickleUnclearError("its dict holds more than Anki puts into one")
        flags: dict[str, _Flag] = {}
        for name, values in outermost.flags.items():
            if len(values) > 1:
                raise PickleUnclearError(f"it says {name} more than once")
            value = values[0]
            if not isinstance(value, _Flag) or value.uses > 1:
                raise PickleUnclearError(f"its {name} is not a plain yes or no")
            flags[name] = value
        return _Layout(flags, self._stop, self._frame_of_the_end(data, self._stop), self._plain)

    def _frame_of_the_end(self, data: bytes, stop: int) -> int | None:
        if self._frame is None:
            return None
        start, end = self._frame
        if end <= stop:
            return None
        if end > len(data) or data[start : start + 1] != _FRAME:
            raise PickleUnclearError(_DAMAGED)
        return start

    def _text(self, text: str, *, legacy: bool) -> _Value:
        if legacy:
            text = "".join(letter for letter in text if letter.isascii())
        return _Text(scalar=True, text=text) if text in self._names else _Value(scalar=True)

    def _memorised(self, name: str, argument: object) -> bool:
        """Take an opcode that stores the top of the stack or copies something there; False if it is none."""
        stack = self._stack
        if name in _PUTS or name == "MEMOIZE":
            index = len(self._memo) if name == "MEMOIZE" else int(str(argument))
            # The real Unpickler makes room for every index up to the one named.
            if not 0 <= index <= _MOST_OPCODES:
                raise PickleUnclearError("it counts further than it is long")
            self._memo[index] = self._used_again(stack[-1])
        elif name in _GETS:
            stack.append(self._memo[int(str(argument))])
        elif name == "DUP":
            stack.append(self._used_again(stack[-1]))
        else:
            return False
        return True

    @staticmethod
    def _used_again(value: _Value) -> _Value:
        if isinstance(value, _Mark):
            raise PickleUnclearError(_DAMAGED)
        if isinstance(value, _Flag):
            value.uses += 1
        return value

    def _combined(self, name: str, opcode: pickletools.OpcodeInfo) -> None:
        """Take an opcode that makes one thing of others."""
        stack = self._stack
        if name == "EMPTY_DICT":
            stack.append(_Dict())
        elif name == "DICT":
            made = _Dict()
            self._set_items(made, self._popped_to_mark())
            stack.append(made)
        elif name == "SETITEM":
            items = self._popped(2)
            self._set_items(stack[-1], items)
        elif name == "SETITEMS":
            items = self._popped_to_mark()
            self._set_items(stack[-1], items)
        elif name in _TUPLES or name in _OF_A_SLICE:
            self._plain &= name != "FROZENSET"
            self._swallow(self._popped(_TUPLES[name]) if name in _TUPLES else self._popped_to_mark())
            stack.append(_Value())
        elif name == "APPEND" or name in _INTO_A_CONTAINER:
            self._plain &= name != "ADDITEMS"
            self._swallow(self._popped(1) if name == "APPEND" else self._popped_to_mark())
            self._swallow([stack[-1]])
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            self._popped_to_mark()
        else:
            self._called(opcode)

    def _called(self, opcode: pickletools.OpcodeInfo) -> None:
        """Take an opcode that looks up or calls something, by what pickletools says of its effect on the stack."""
        self._plain = False
        taken = list(opcode.stack_before)
        if pickletools.markobject in taken:
            self._swallow(self._popped_to_mark())
            taken = taken[: taken.index(pickletools.markobject)]
        self._swallow(self._popped(len(taken)))
        self._stack += [_Value(made=True) for _ in opcode.stack_after]

    def _popped(self, count: int) -> list[_Value]:
        if count == 0:
            return []
        if len(self._stack) < count:
            raise IndexError
        popped = self._stack[-count:]
        del self._stack[-count:]
        if any(isinstance(value, _Mark) for value in popped):
            raise PickleUnclearError(_DAMAGED)
        return popped

    def _popped_to_mark(self) -> list[_Value]:
        popped: list[_Value] = []
        while not isinstance(value := self._stack.pop(), _Mark):
            popped.append(value)
        return popped[::-1]

    def _set_items(self, target: _Value, items: list[_Value]) -> None:
        if len(items) % 2 or isinstance(target, _Mark):
            raise PickleUnclearError(_DAMAGED)
        keys, values = items[::2], items[1::2]
        self._swallow(keys)
        self._swallow(values)
        self._plain &= all(key.scalar for key in keys)
        if isinstance(target, _Dict):
            target.unclear_key |= any(key.made for key in keys)
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, _Text):
                    target.flags.setdefault(key.text, []).append(value)

    @staticmethod
    def _swallow(values: list[_Value]) -> None:
        for value in values:
            if isinstance(value, _Dict):
                value.inside = True
