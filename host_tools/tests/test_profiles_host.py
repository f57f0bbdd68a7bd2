"""What the host sees of a package: names, units, codes, values there and back; and the generated documents."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profile_bench import ABDOMEN, CONTEXT, CT, INJECTOR, ct, injector, stated

from gantryguard.errors import UserError
from gantryguard.profiles import docs
from gantryguard.profiles.link_document import link_document
from gantryguard.profiles.package import compile_profile
from gantryguard.profiles.profile import Profile
from interposer.core.reasons import NONE
from interposer.core.verdict import Judge

PROFILES: dict[str, tuple[Callable[[], Profile], object]] = {"ct": (ct, CT), "injector": (injector, INJECTOR)}


def test_names_survive_the_way_through_a_package() -> None:
    profile = ct()
    assert profile.name == "ct"
    assert profile.command_names[profile.command("expose")] == "expose"
    assert profile.roles[profile.command("stop")] == "stop"
    assert profile.slot_names[profile.slot("kvp")] == "kvp"
    assert profile.quantities["ctdivol_mgy"].unit == "mGy"
    assert profile.state_names == ["idle", "context", "ready", "prepared"]
    assert profile.fields_of("table_move") == ["table_position_mm", "move_speed_mm_s"]
    assert profile.limit_why(0)
    with pytest.raises(KeyError):
        profile.command("nothing")
    with pytest.raises(KeyError):
        profile.slot("nothing")


@pytest.mark.parametrize("name", PROFILES)
def test_every_raw_value_comes_back(name: str) -> None:
    profile = PROFILES[name][0]()
    compiled = compile_profile(CT if name == "ct" else INJECTOR)
    fields = compiled.vector.of_kind("field")

    @given(st.data())
    def back(data: st.DataObject) -> None:
        quantity = data.draw(st.sampled_from(fields))
        raw = data.draw(st.integers(*quantity.bounds))
        assert profile.to_raw(quantity.name, profile.from_raw(quantity.name, raw)) == raw

    back()


def test_unknown_is_nan_and_back() -> None:
    profile = ct()
    assert profile.to_raw("age_years", math.nan) == profile.to_raw("age_years", None) == 65535
    assert math.isnan(profile.from_raw("weight_kg", 0))
    assert profile.to_raw("sex", "male") == 2
    with pytest.raises(ValueError, match="kvp"):
        profile.to_raw("kvp", None)


def test_columns_and_single_rows_give_the_same_values() -> None:
    profile = ct()
    row = stated(profile, ABDOMEN) | {"age_years": math.nan, "weight_kg": 71.3}
    matrix = profile.matrix_from({name: np.array([value, value]) for name, value in row.items()} | {"remark": [0, 0]})
    assert matrix.shape == (2, profile.size)
    assert matrix[1].tolist() == list(profile.values_from(row))
    assert profile.matrix_from({"ma": [math.inf]})[0, profile.slot("ma")] == (1 << 31) - 1


@pytest.mark.parametrize("name", PROFILES)
def test_every_command_is_written_and_read_by_the_link_alone(name: str) -> None:
    """Encoded frames pass core's deframer and codec, and their fields come back."""
    profile = PROFILES[name][0]()
    judge = Judge(profile.package)
    for command in profile.command_names:
        frame = profile.encode(command, 5, {})
        for codec in (judge.forward, judge.backward):
            codec.read(frame, len(frame), profile.values_from({}))
            if codec.command >= 0 and profile.command_names[codec.command] == command:
                assert codec.sequence_of(frame) == (5 if name == "ct" else -1)
                break
        else:
            pytest.fail(f"{command} belongs to no direction")


def test_a_context_frame_has_the_documented_bytes() -> None:
    """Written by hand from docs/link-ct.md."""
    frame = ct().encode("exam_context", 7, CONTEXT | {"age_years": 0.5, "weight_kg": 7.9, "height_cm": None})
    assert frame[:5] == bytes((0xA5, 0x5A, 14, 7, 0x10))
    assert frame[5:-2] == bytes((100, 0, 7, 6, 0, 1, 79, 0, 0, 0, 0, 0))
    judge = Judge(ct().package)
    values = ct().start_values()
    assert judge.forward.read(frame, len(frame), values) == NONE
    assert values[ct().slot("weight_kg")] == 79


def test_the_committed_documents_fit_their_sources() -> None:
    docs.check()


def test_a_stale_document_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = docs.documents()
    path = next(iter(texts))
    monkeypatch.setattr(docs, "documents", lambda: {path: texts[path] + "more"})
    with pytest.raises(UserError, match=r"docs.link-ct\.md") as caught:
        docs.check()
    assert "--write" in caught.value.remedy
    with pytest.raises(UserError):
        docs.main(["--delete"])


def test_a_text_link_is_documented_too() -> None:
    text = link_document(compile_profile(INJECTOR))
    assert "two ASCII digits" in text
    assert "and 0x7F, or 0x40" in text
    assert "| argument 1 | `volume_ml` | decimal text | 0.1 ml | 0 to 3000 |" in text
