"""A written folder as a repository of the Hugging Face Hub, or of a server that speaks like it."""

from __future__ import annotations

import os
from pathlib import Path

from selfscan.errors import SelfscanError
from selfscan.extras import optional


def push_to_hub(folder: Path, repository: str) -> str:
    """Upload a folder to a new or existing repository of models; private where it is new.

    Server and credentials are those of `huggingface_hub`: `HF_ENDPOINT`, and `hf auth login` or
    `HF_TOKEN`.

    Args:
        folder: What to upload.
        repository: `owner/name`.

    Returns:
        The address of the commit.

    Raises:
        SelfscanError: The package is missing, or the server refused.
        ValueError: The name is none of a repository.
    """
    hub = optional("huggingface_hub", extra="hub", purpose="to push to the hub")
    errors = optional("huggingface_hub.errors", extra="hub", purpose="to push to the hub")
    if repository.count("/") != 1:
        raise ValueError(f"push_to must be owner/name, got {repository!r}")
    try:
        api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        api.create_repo(repository, private=True, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Upload from selfscan"
        )
    except (errors.HfHubHTTPError, errors.LocalTokenNotFoundError, OSError) as error:
        said = " ".join(str(error).split())
        raise SelfscanError(
            f"{repository}: the hub refused ({said}); {folder} is written and whole; check the "
            "name, HF_ENDPOINT, and that you are logged in (hf auth login), then push again"
        ) from error
    return str(commit)
