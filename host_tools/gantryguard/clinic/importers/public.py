"""Public data: fetched once through the user's own pip, pinned by SHA-256, kept in the cache and never in the repository."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from gantryguard import paths
from gantryguard.client.fetch import IDC_INDEX, OPENREM, Say, download_sdist
from gantryguard.clinic.real_exams import openrem_reports

NAMES = ("openrem", "nlst")
INDEX = "idc_index_data/idc_index.parquet"


def openrem(say: Say) -> dict[str, bytes]:
    """The CT dose reports of the OpenREM project (GPLv3) by name. Raises UserError (exit 3)."""
    return {f"openrem:{name}": data for name, data in openrem_reports(download_sdist(OPENREM, say))}


def nlst(say: Say) -> Path:
    """The index of the Imaging Data Commons (CC BY 4.0) as a parquet file in the cache. Raises UserError (exit 3)."""
    target = paths.cache_dir() / f"{IDC_INDEX.name}-{IDC_INDEX.version}.parquet"
    wheel = download_sdist(IDC_INDEX, say)  # checked by its hash, every time
    with zipfile.ZipFile(wheel) as archive:
        member = archive.getinfo(INDEX)
        if target.is_file() and target.stat().st_size == member.file_size:
            return target
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as part:
            try:
                with archive.open(member) as source:
                    shutil.copyfileobj(source, part)
                part.close()
                Path(part.name).replace(target)
            finally:
                Path(part.name).unlink(missing_ok=True)
    return target
