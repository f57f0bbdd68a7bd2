"""Bills of materials in CycloneDX 1.6: what is in the device image, and what the host tools are made of.

Nothing in them depends on when or where they are made: the time is the package's own date, the serial number follows from
the content.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import Distribution, distribution

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gantryguard.client.image import IMAGE_NAME, IMAGE_PAGE, IMAGE_SHA256

PROJECT = "gantryguard"
MICROPYTHON_VERSION = IMAGE_NAME.removesuffix(".uf2").rsplit("-v", 1)[1]
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:gantryguard:sbom")
LONGEST_LICENSE = 60  # characters; longer ones are whole texts


def of_device(image: bytes, files: Mapping[str, bytes], issued: datetime) -> bytes:
    """The bill of a device image: MicroPython, and each file of the filesystem with its digest."""
    parts = [_micropython()]
    for name in sorted(files):
        kind = ComponentType.DATA if name.endswith(".bin") or name.startswith("log/") else ComponentType.FILE
        parts.append(Component(name=name, type=kind, bom_ref=f"file:{name}", hashes=[_sha256(files[name])]))
    whole = _project(ComponentType.FIRMWARE, f"{PROJECT}-device", [_sha256(image)])
    return _written(whole, parts, issued)


def of_host(issued: datetime) -> bytes:
    """The bill of the host tools: every distribution that they need at run time, as installed."""
    parts = [_distribution(found) for _, found in sorted(_closure(PROJECT).items()) if _name(found) != PROJECT]
    return _written(_project(ComponentType.APPLICATION, f"{PROJECT}-host", []), parts, issued)


def _project(kind: ComponentType, name: str, hashes: Iterable[HashType]) -> Component:
    version = distribution(PROJECT).version
    licences = [LicenseFactory().make_from_string("Apache-2.0")]
    return Component(name=name, type=kind, version=version, bom_ref=name, licenses=licences, hashes=hashes)


def _micropython() -> Component:
    return Component(
        name="micropython",
        type=ComponentType.FIRMWARE,
        version=MICROPYTHON_VERSION,
        bom_ref=f"micropython@{MICROPYTHON_VERSION}",
        purl=PackageURL("github", "micropython", "micropython", f"v{MICROPYTHON_VERSION}"),
        licenses=[LicenseFactory().make_from_string("MIT")],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=IMAGE_SHA256)],
        properties=[Property(name=f"{PROJECT}:source", value=IMAGE_PAGE)],
    )


def _closure(name: str) -> dict[str, Distribution]:
    """A distribution and everything that it requires without extras, by normalised name."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        current = distribution(waiting.pop())
        if _name(current) in found:
            continue
        found[_name(current)] = current
        for text in current.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def _name(found: Distribution) -> str:
    return canonicalize_name(found.name)


def _distribution(found: Distribution) -> Component:
    name = _name(found)
    metadata = found.metadata.json
    stated = str(metadata.get("license_expression") or metadata.get("license") or "")
    licences = [LicenseFactory().make_from_string(stated)] if 0 < len(stated) <= LONGEST_LICENSE else []
    return Component(
        name=name,
        type=ComponentType.LIBRARY,
        version=found.version,
        bom_ref=f"{name}@{found.version}",
        purl=PackageURL("pypi", None, name, found.version),
        licenses=licences,
    )


def _sha256(data: bytes) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(data).hexdigest())


def _written(whole: Component, parts: Iterable[Component], issued: datetime) -> bytes:
    bom = Bom(components=parts)
    bom.metadata.component = whole
    bom.metadata.timestamp = issued.astimezone(UTC)
    bom.register_dependency(whole, bom.components)
    bom.serial_number = uuid.UUID(int=0)
    content = JsonV1Dot6(bom).output_as_string(indent=1)
    bom.serial_number = uuid.uuid5(NAMESPACE, content)
    return (JsonV1Dot6(bom).output_as_string(indent=1) + "\n").encode()
