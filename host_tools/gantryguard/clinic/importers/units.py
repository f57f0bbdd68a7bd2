"""UCUM units of measured values, as real files write them."""

from __future__ import annotations

# Unit: dimension and factor to the unit that the schema uses (s, mm, kV, mA, mGy, mGy.cm).
UNITS: dict[str, tuple[str, float]] = {
    "s": ("time", 1.0),
    "ms": ("time", 1e-3),
    "min": ("time", 60.0),
    "mm": ("length", 1.0),
    "cm": ("length", 10.0),
    "m": ("length", 1000.0),
    "kV": ("voltage", 1.0),
    "V": ("voltage", 1e-3),
    "mA": ("current", 1.0),
    "uA": ("current", 1e-3),
    "A": ("current", 1e3),
    "mGy": ("dose", 1.0),
    "uGy": ("dose", 1e-3),
    "cGy": ("dose", 10.0),
    "Gy": ("dose", 1e3),
    "mGy.cm": ("dlp", 1.0),
    "mGycm": ("dlp", 1.0),  # GE and Siemens
    "uGy.m": ("dlp", 0.1),
    "Gy.cm": ("dlp", 1e3),
}


def factor(unit: str, dimension: str) -> float:
    """What a value in `unit` is multiplied by; 1 where the unit is unknown or of another dimension."""
    known, by = UNITS.get(unit.strip(), ("", 1.0))
    return by if known == dimension else 1.0
