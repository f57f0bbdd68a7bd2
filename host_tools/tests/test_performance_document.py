"""The document of measured figures says what the figures say."""

from __future__ import annotations

import json

from gantryguard.benchmarks.document import performance_document

SPREAD = {"min": 1.4, "median": 2.6, "p99": 3.0, "max": 4.0}


def test_every_figure_has_its_place() -> None:
    result = {"mode": "some mode", "baud": 115200, "frames": 1000, "lost": 0, "verdict_us": SPREAD, "first_byte_out_us": None}
    figures = {
        "clock_mhz": 125,
        "results": [result],
        "cut_through": [{"baud": 57600, "frames": 30, "passing": 20, "in_time": 15, "wrong": 0, "delay_bits": {"max": 0.5}}],
        "stages_cycles": {"check": 1250.0},
        "kernels": [{"name": "some kernel", "cycles_per_mac": 3.25, "source": "somewhere"}],
        "memory": {"free_heap": 60000},
    }
    text = performance_document(json.dumps(figures))
    assert " 125 MHz" in text
    for line in (
        "| 115,200 | some mode | 1,000 | 0 | 1 / 3 / 3 / 4 | none |",
        "| 57,600 | 30 | 20 | 15 | 0 | 0.5 |",
        "| check | 1,250 | 10.0 |",
        "| some kernel | 3.25 | somewhere |",
        "| free heap | 60,000 |",
    ):
        assert line in text.splitlines()
