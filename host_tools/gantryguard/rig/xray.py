"""What the tube, the generator and the table make of a technique: the shot as it is really executed.

The generator runs at the station nearest to the kVp asked for (the lower of two equally near ones), with no more mA than tube
and power allow, and rotates no faster than it can. Dose follows from that and from how fast the table really travels, by the
physics of `clinic.scanner`, whatever CTDIvol, DLP and pitch the console states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gantryguard.clinic.scanner import Scanner, reference_scanner
from gantryguard.clinic.schema import AXIAL, HELICAL, LOCALISER, SCAN_MODES, STATIONARY
from gantryguard.rig.clock import S
from gantryguard.rig.motion import Travel

# Design parameters of the simulation, of the size that scanners show; none is taken from a real one.
STEP_S = 1.0  # from one position of a step-and-shoot scan to the next
LONGEST_S = 100.0  # the tube ends an exposure by itself
TILT_DEG_S = 3.0
SLOWEST_MM_S = 1.0  # a table that is to scan slower than this creeps at this speed
NARROWEST_MM = 0.625  # the collimator does not close further


@dataclass(frozen=True)
class Shot:
    """One exposure in full: mGy and mGy·cm, irradiated range, where the table ends up (mm) and how fast it gets there."""

    kvp: float
    ma: float
    duration_ns: int
    ctdivol_mgy: float
    dlp_mgycm: float
    start_mm: float
    end_mm: float
    table_end_mm: float
    table_speed_mm_s: float


class XrayUnit:
    """A scanner's hardware. Raises UserError (exit 4) if the reference scanner's description is unusable."""

    def __init__(self, scanner: Scanner | None = None) -> None:
        self.scanner = scanner or reference_scanner()
        self.stations_kv = self.scanner.kvp_stations_kv
        self.modes = frozenset(SCAN_MODES.values())
        self.table = Travel(0.0, self.scanner.table_travel_mm, self.scanner.table_speed_max_mm_s)
        self.tilt = Travel(self.scanner.tilt_min_deg, self.scanner.tilt_max_deg, TILT_DEG_S)

    def shot(self, parameters: Mapping[str, float], start_mm: float) -> Shot:
        """What a technique (fields of `scan_parameters`, a known scan mode) becomes with the table at `start_mm`."""
        row = self._executed(parameters)
        scanner = self.scanner
        seconds, travel_mm = float(scanner.exposure_s(row)), 0.0
        if row["scan_mode"] == AXIAL:
            increment_mm = row["pitch"] * row["collimation_mm"]
            positions = round(seconds / (row["rotation_s"] * row["rotations"]))
            seconds += (positions - 1) * STEP_S
            travel_mm = (positions - 1) * increment_mm
        elif row["scan_mode"] != STATIONARY:
            travel_mm = row["scan_length_mm"]
        whole_s = seconds
        seconds = min(seconds, LONGEST_S)
        part = seconds / whole_s
        return Shot(
            kvp=row["kvp"],
            ma=row["ma"],
            duration_ns=max(round(seconds * S), 1),
            ctdivol_mgy=float(scanner.ctdivol_mgy(row)) * (part if row["scan_mode"] == STATIONARY else 1.0),
            dlp_mgycm=float(scanner.dlp_mgycm(row)) * part,
            start_mm=start_mm,
            end_mm=start_mm + row["scan_length_mm"] * (part if travel_mm else 1.0),
            table_end_mm=start_mm + travel_mm * part,
            table_speed_mm_s=travel_mm / whole_s,
        )

    def _executed(self, parameters: Mapping[str, float]) -> dict[str, float]:
        """The technique with everything replaced that the hardware does differently."""
        scanner, row = self.scanner, dict(parameters)
        row["kvp"] = min(self.stations_kv, key=lambda station: (abs(station - row["kvp"]), station))
        row["ma"] = min(row["ma"], scanner.ma_max_ma, scanner.generator_kw * 1000 / row["kvp"])
        row["phantom_cm"] = 16.0 if row["phantom_cm"] < 24 else 32.0
        row["collimation_mm"] = max(row["collimation_mm"], NARROWEST_MM)
        row["rotations"] = max(row["rotations"], 1.0)
        if row["scan_mode"] == AXIAL and not row["pitch"]:
            row["scan_mode"] = STATIONARY
        if row["scan_mode"] != LOCALISER:
            row["rotation_s"] = max(row["rotation_s"], scanner.rotation_times_s[0])
        self._travel(row)
        return row

    @staticmethod
    def _travel(row: dict[str, float]) -> None:
        """The commanded table speed decides, whatever pitch the console states; no scan is shorter than its beam is wide."""
        still = row["scan_mode"] == STATIONARY
        row["scan_length_mm"] = row["collimation_mm"] if still else max(row["scan_length_mm"], row["collimation_mm"])
        if row["scan_mode"] in (HELICAL, LOCALISER):
            row["table_speed_mm_s"] = max(row["table_speed_mm_s"], SLOWEST_MM_S)
        if row["scan_mode"] == HELICAL:
            row["pitch"] = row["table_speed_mm_s"] * row["rotation_s"] / row["collimation_mm"]
