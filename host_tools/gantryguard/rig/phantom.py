"""A dosimetry phantom on the table: what the executed exposures deliver, in all and along the table.

Doses are CTDIvol (mGy) and DLP (mGy·cm) of the technique as it was executed (`xray.py`), never the values that the console
stated. Not modelled: over-ranging beyond the scanned length in the histogram, and scatter between positions.
"""

from __future__ import annotations

from gantryguard.rig.xray import Shot

BIN_MM = 10


class Phantom:
    """Accumulates exposures. `bins` maps the number of a 10 mm slab along the table to its CTDIvol in mGy."""

    def __init__(self) -> None:
        self.ctdivol_mgy = 0.0
        self.dlp_mgycm = 0.0
        self.bins: dict[int, float] = {}

    @property
    def peak_mgy(self) -> float:
        """The largest dose of any slab, in mGy: repeated exposures of one place add up here."""
        return max(self.bins.values(), default=0.0)

    def add(self, shot: Shot, fraction: float) -> None:
        """Take the part `fraction` (0 to 1) of an exposure.

        A moving scan that is cut short irradiates the first part of its range with the full CTDIvol, a standing one the whole
        range with part of it; the sum over the exam counts the fraction in both cases.
        """
        self.ctdivol_mgy += shot.ctdivol_mgy * fraction
        self.dlp_mgycm += shot.dlp_mgycm * fraction
        length_mm = shot.end_mm - shot.start_mm
        if shot.table_speed_mm_s:
            length_mm, dose_mgy = length_mm * fraction, shot.ctdivol_mgy
        else:
            dose_mgy = shot.ctdivol_mgy * fraction
        low, high = sorted((shot.start_mm, shot.start_mm + length_mm))
        for number in range(int(low // BIN_MM), int(-(-high // BIN_MM))):
            self.bins[number] = self.bins.get(number, 0.0) + dose_mgy
