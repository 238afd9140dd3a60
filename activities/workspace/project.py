"""Looking at a user's project before a session starts from it."""

from pathlib import Path

from .files import absolute, is_there
from .local_project import inspect_path
from .names import is_other_transport, is_url
from .project_info import ProjectError, ProjectInfo, RefError
from .remote_project import inspect_url


async def inspect_project(path_or_url: str | Path, ref: str | None = None) -> ProjectInfo:
    """Find the commit that `ref` (default: HEAD) names in a project. Writes nothing there. Raises ProjectError."""
    place = str(path_or_url)
    if ref is not None and (not ref.strip() or ref.startswith("-") or "\0" in ref or "\n" in ref):
        message = f"{ref!r} is not the name of a branch, tag or commit."
        raise RefError(message)
    local = absolute(path_or_url)
    exists = is_there(local)
    if isinstance(path_or_url, str) and not exists:
        if is_other_transport(place):
            message = (
                f"{place.split(':', 1)[0]}: is not a transport that Overnight uses; give a path, https or ssh URL."
            )
            raise ProjectError(message)
        if is_url(place):
            return await inspect_url(place, ref)
    return await inspect_path(local, ref)
