"""Which data another host is told to fetch itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_mltrain.core.dataset import FileDatasetDefinition
from jupyter_mltrain.core.mounts import Mount, WebFile
from jupyter_mltrain.data import FetchedDataset
from jupyter_mltrain.data.definitions import ContentFile
from jupyter_mltrain.service.inputs import web_files

URL = "https://example.org/a.csv"


def fetched(*sources: str, **file: object) -> tuple[FileDatasetDefinition, FetchedDataset]:
    definition = FileDatasetDefinition("i", sources)
    known = {"path": "a.csv", "size": 5, "sha256": "ab", "stamp": "s", "source": URL, "local": False, **file}
    files = (ContentFile(**known),)  # type: ignore[arg-type]
    return definition, FetchedDataset(definition, Path("/d"), "sha256:k", "web", 0, 5, files=files)


def test_files_that_anybody_can_have_are_told_with_their_content() -> None:
    assert web_files(*fetched(URL)) == (WebFile("a.csv", URL, 5, "ab"),)


@pytest.mark.parametrize(
    ("sources", "file"),
    [
        ((URL + "?key=${KEY}",), {"source": URL + "?key=${KEY}"}),
        (("datastore://store/a.csv",), {}),
        (("https://me:secret@example.org/a.csv",), {"source": "https://me:secret@example.org/a.csv"}),
        (("/data/a.csv",), {"source": "/data/a.csv", "local": True}),
        (("s3://bucket/a.csv",), {"source": "s3://bucket/a.csv"}),
        ((URL,), {"sha256": "", "unpacked": "cd", "ready": "mnist"}),
    ],
)
def test_what_needs_a_secret_or_this_machine_is_not(sources: tuple[str, ...], file: dict[str, object]) -> None:
    assert web_files(*fetched(*sources, **file)) == ()


def test_addresses_are_in_no_record() -> None:
    mount = Mount("d", Path("/d"), "D", "k", web=(WebFile("a", URL, 1, "ab"),))
    assert URL not in str(mount.to_json())
    assert Mount.from_json(mount.to_json()) == mount
