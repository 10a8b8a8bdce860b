"""A flag in a pickle is found and changed by walking it: nothing is called, and nothing else changes."""

from __future__ import annotations

import copyreg
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles import profile_pickle
from profiles.profile_pickle import PickleUnclearError, flags_in, with_flags

NAMES = frozenset({"autoSync", "syncMedia"})
OFF = dict.fromkeys(NAMES, False)


def like_ankis() -> dict[str, Any]:
    return {
        "mainWindowGeom": b"\x01\xd9\xd0\xcb" * 30,
        "numBackups": 50,
        "lastOptimize": 1_700_000_000,
        "searchHistory": ["deck:current", "is:due"],
        "syncKey": "0123456789abcdef",
        "syncMedia": True,
        "autoSync": True,
        "allowHTML": False,
        "hostNum": None,
        "networkTimeout": 60,
    }


def changed_bytes(before: bytes, after: bytes) -> int:
    assert len(before) == len(after)
    return sum(a != b for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_flag_costs_one_byte_and_nothing_else_changes(protocol: int) -> None:
    profile = like_ankis() if protocol >= 3 else {**like_ankis(), "mainWindowGeom": None}
    data = pickle.dumps(profile, protocol=protocol)

    changed = with_flags(data, OFF)

    assert changed_bytes(data, changed) == 2
    assert pickle.loads(changed) == profile | OFF
    assert with_flags(changed, {"autoSync": True, "syncMedia": True}) == data


def test_flags_that_are_as_wanted_cost_nothing() -> None:
    data = pickle.dumps(like_ankis() | {"autoSync": False}, protocol=4)
    assert flags_in(data, NAMES) == {"autoSync": False, "syncMedia": True}
    assert with_flags(data, {"autoSync": False, "syncMedia": True}) == data


def test_keys_that_come_from_the_memo_are_found() -> None:
    key = "autoSync"
    data = pickle.dumps({"remembered": [key, key], "nested": {key: True}, key: True, "syncMedia": False}, protocol=4)
    assert any(opcode.name == "BINGET" for opcode, _, _ in pickletools.genops(data))
    assert pickle.loads(with_flags(data, {"autoSync": False, "syncMedia": False})) == {
        "remembered": [key, key],
        "nested": {key: True},
        key: False,
        "syncMedia": False,
    }


def test_the_same_names_deeper_inside_or_as_values_are_not_hit() -> None:
    deep = {"autoSync": True, "syncMedia": True}
    profile = {"addon": deep, "list": [deep, {"autoSync": True}], "word": "autoSync", "flag": True, b"autoSync": True}
    data = pickle.dumps(profile, protocol=4)

    assert flags_in(data, NAMES) == {}
    assert pickle.loads(with_flags(data, OFF)) == profile | OFF


@pytest.mark.parametrize("size", [0, 1, 10, 70_000])
def test_a_name_that_is_missing_is_set_at_the_end(size: int) -> None:
    profile = {"note": "x" * size, "autoSync": True}
    data = pickle.dumps(profile, protocol=4)

    changed = with_flags(data, OFF)

    assert pickle.loads(changed) == profile | OFF
    assert pickle._loads(changed) == profile | OFF  # type: ignore[attr-defined]  # checks the frames as well
    assert flags_in(changed, NAMES) == OFF
    frames = [
        (position or 0) + 9 + argument
        for opcode, argument, position in pickletools.genops(changed)
        if opcode.name == "FRAME" and isinstance(argument, int)
    ]
    assert frames[-1] == len(changed), "no opcode may lie across the end of a frame"


def test_a_name_can_be_set_in_an_empty_dict_of_any_protocol() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(with_flags(pickle.dumps({}, protocol=protocol), OFF)) == OFF


class _Calls:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_nothing_is_called_and_what_would_be_is_kept_as_it_is(tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    data = pickle.dumps({"window": _Calls(mark), **like_ankis()}, protocol=4)

    changed = with_flags(data, OFF)

    assert changed_bytes(data, changed) == 2
    assert flags_in(changed, NAMES) == OFF
    assert not mark.exists()
    pickle.loads(changed)
    assert mark.exists(), "the bomb must work, or this test proves nothing"


def test_an_old_row_with_objects_of_qt_is_changed_too() -> None:
    """As Anki wrote it up to 2.1.2x: sip._unpickle_type(module, class, arguments)."""
    geometry = b"csip\n_unpickle_type\nq\x01X\x0c\x00\x00\x00PyQt5.QtCoreq\x02X\x0a\x00\x00\x00QByteArrayq\x03"
    geometry += b"C\x04\x01\xd9\xd0\xcbq\x04\x85q\x05\x87q\x06Rq\x07"
    plain = pickle.dumps({"autoSync": True, "syncMedia": True}, protocol=3)
    data = plain.replace(b"(", b"(X\x0e\x00\x00\x00mainWindowGeom" + geometry, 1)

    changed = with_flags(data, OFF)

    assert changed_bytes(data, changed) == 2
    assert flags_in(changed, NAMES) == OFF


def unfit() -> dict[str, bytes]:
    whole = pickle.dumps(like_ankis(), protocol=4)
    recursive: dict[str, Any] = {"autoSync": True}
    recursive["self"] = recursive
    twice = b"\x80\x04}(\x8c\x08autoSync\x88\x8c\x08autoSync\x89u."
    return {
        "empty": b"",
        "cut short": whole[:-1],
        "cut in a word": whole[: whole.index(b"autoSync") + 4],
        "no pickle": b"\xff" * 50,
        "a list": pickle.dumps([{"autoSync": True}], protocol=4),
        "a flag": pickle.dumps(True, protocol=4),
        "an object": pickle.dumps(OrderedDict(autoSync=True), protocol=4),
        "a number for a flag": pickle.dumps({"autoSync": 1}, protocol=4),
        "nothing for a flag": pickle.dumps({"autoSync": None}, protocol=4),
        "said twice": twice,
        "said again later": b"\x80\x04}\x94(\x8c\x08autoSync\x88uh\x00\x8c\x08autoSync\x89s0.",
        "holds itself": pickle.dumps(recursive, protocol=4),
        "a flag that is used twice": b"\x80\x04}(\x8c\x08autoSync\x88\x94\x8c\x01xh\x00u.",
        "a doubled flag": b"\x80\x04}(\x8c\x08autoSync\x882\x8c\x01xu.",
        "a key that a call makes": b"\x80\x04}(c__builtin__\nstr\n)R\x88u.",
        "a dict that a call changes": b"\x80\x04}\x94(\x8c\x08autoSync\x88uc__builtin__\nvars\nh\x00\x85R0.",
        "more than one value": b"\x80\x04NN.",
        "a mark left over": b"\x80\x04(}.",
        "a mark for a key": b"\x80\x04}(\x88s.",
        "an item without a value": b"\x80\x04}(\x8c\x08autoSyncu.",
        "a memo that is not there": b"\x80\x04}(h\x07\x88u.",
        "a memo of everything": b"\x80\x04}r\xff\xff\xff\xff.",
        "a memo of too much": b"\x80\x04}r\x00\x00\x05\x00.",
        "a frame that ends nowhere": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",
        "an unhashable key": b"\x80\x05}\x96\x01" + b"\0" * 7 + b"x\x88s.",
        "items for a number": b"\x80\x04K\x01\x8c\x01x\x88s.",
        "a text without an end": b"\x80\x04}X\xff\xff\xff\x7fautoSync\x88s.",
        "an endless number": b"\x80\x04}(I" + b"9" * 100_000 + b"\n\x88u.",
        "a million of steps": b"\x80\x04}" + b"N0" * 500_000 + b".",
        "very large": pickle.dumps({"autoSync": True, "x": b"x" * (5 << 20)}, protocol=4),
        "an extension": b"\x80\x04}(\x82\x01\x88u.",
        "an outside object": b"\x80\x04}(\x8c\x01xQ\x88u.",
    }


@pytest.mark.parametrize("kind", unfit())
def test_what_is_no_profile_of_ankis_is_refused(kind: str) -> None:
    copyreg.clear_extension_cache()
    with pytest.raises(PickleUnclearError):
        with_flags(unfit()[kind], OFF)


@pytest.mark.parametrize(
    "deep",
    [
        b")" + b"\x85" * 150_000,  # nested tuples
        b")" + b"2\x86" * 90_000,  # each holds the last one twice: to hash it takes for ever
        b"]" + b"\x94]h\x00a0" * 10,
    ],
)
def test_what_is_nested_without_end_is_never_loaded_as_a_key(deep: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[bytes] = []
    monkeypatch.setattr(profile_pickle, "_check_by_loading", lambda data, _wanted: loaded.append(data))
    data = b"\x80\x04}(" + deep + b"K\x01\x8c\x08autoSync\x88u."

    assert flags_in(data, NAMES) == {"autoSync": True}
    assert flags_in(with_flags(data, OFF), NAMES) == OFF
    assert not loaded


def test_what_is_nested_without_end_may_be_a_value() -> None:
    data = b"\x80\x04}(K\x01)" + b"\x85" * 150_000 + b"\x8c\x08autoSync\x88\x8c\x09syncMedia\x88u."
    assert changed_bytes(data, with_flags(data, OFF)) == 2


_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.just(10**30)
)
_VALUES = st.recursive(
    _SCALARS | st.sampled_from(sorted(NAMES)),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(sorted(NAMES)) | st.text(), inner) | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@st.composite
def _profiles(draw: st.DrawFn) -> dict[Any, Any]:
    """A dict with our names somewhere among others, or missing, so many that it is written in several batches."""
    others = draw(st.dictionaries(st.text() | st.integers(), _VALUES, max_size=8))
    for number in range(draw(st.sampled_from([0, 0, 999, 1000, 1001]))):
        others[f"filler {number}"] = number
    items = [item for item in others.items() if item[0] not in NAMES]
    for name in draw(st.sets(st.sampled_from(sorted(NAMES)))):
        items.insert(draw(st.integers(0, len(items))), (name, draw(st.booleans())))
    return dict(items)


@settings(max_examples=150, deadline=None)
@given(
    profile=_profiles(), wanted=st.fixed_dictionaries({name: st.booleans() for name in sorted(NAMES)}), data=st.data()
)
def test_whatever_else_a_profile_holds_only_the_two_values_differ(
    profile: dict[Any, Any], wanted: dict[str, bool], data: st.DataObject
) -> None:
    pickled = pickle.dumps(profile, protocol=data.draw(st.integers(0, pickle.HIGHEST_PROTOCOL)))

    changed = with_flags(pickled, wanted)

    assert pickle.loads(changed) == profile | wanted
    assert list(pickle.loads(changed)) == list(profile | wanted) or not profile.keys() >= NAMES
    if profile.keys() >= NAMES:
        assert changed_bytes(pickled, changed) == sum(profile[name] != wanted[name] for name in NAMES)
    assert flags_in(pickled, NAMES) == {name: profile[name] for name in NAMES & profile.keys()}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_the_bytes_the_answer_is_a_pickle_or_a_refusal(data: st.DataObject) -> None:
    pickled = bytearray(pickle.dumps(like_ankis(), protocol=data.draw(st.sampled_from([0, 2, 4]))))
    for _ in range(data.draw(st.integers(1, 6))):
        pickled[data.draw(st.integers(0, len(pickled) - 1))] = data.draw(st.integers(0, 255))
    try:
        changed = with_flags(bytes(pickled), OFF)
    except PickleUnclearError:
        return
    assert flags_in(changed, NAMES) == OFF
