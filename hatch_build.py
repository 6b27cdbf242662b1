"""The addresses in the wheel's metadata: those of the repository that GitHub builds it from. Built elsewhere, it has none."""

import os
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Addresses(MetadataHookInterface):
    """`project.urls`, so that no fork's wheel names another repository."""

    def update(self, metadata: dict[str, Any]) -> None:
        repository = os.environ.get("GITHUB_REPOSITORY")
        home = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
        changes = f"{home}/blob/v{metadata['version']}/CHANGELOG.md"
        metadata["urls"] = {"Repository": home, "Issues": f"{home}/issues", "Changelog": changes} if repository else {}
