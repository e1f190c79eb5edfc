"""Saving an exercise checks it: the workspace's exercises are watched while the site runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from groundup.course.catalogue import Catalogue
from groundup.course.verdict import sha256_text
from groundup.course.workspace import Workspace
from groundup.errors import WorkspaceError
from groundup.site.checks import Checks

POLL_SECONDS = 1.0
DEBOUNCE_MS, STEP_MS = 40, 10


async def watch(workspace: Workspace, catalogue: Catalogue, checks: Checks, stop: asyncio.Event) -> None:
    """Ask for a check whenever the text of an exercise file has changed, until `stop` is set."""
    by_path = {workspace.exercise(entry.id): entry.id for entry in catalogue.entries if catalogue.released(entry.id)}
    seen = {unit_id: _hash(workspace, unit_id) for unit_id in by_path.values()}
    while not stop.is_set():
        # The folder does not exist before the first exercise is started, here or in a terminal.
        if not workspace.exercises.is_dir():
            await _sleep(stop)
            continue
        await _changed(workspace, by_path, seen, checks)
        await _watch_folder(workspace, by_path, seen, checks, stop)


async def _watch_folder(
    workspace: Workspace, by_path: dict[Path, str], seen: dict[str, str], checks: Checks, stop: asyncio.Event
) -> None:
    from watchfiles import awatch

    folder = workspace.exercises
    # A save between two watches, or on a drive that tells of none, is seen at the next timeout.
    rhythm = {"debounce": DEBOUNCE_MS, "step": STEP_MS, "rust_timeout": 500, "yield_on_timeout": True}
    async for _ in awatch(folder, stop_event=stop, **rhythm):
        await _changed(workspace, by_path, seen, checks)
        if not folder.is_dir():
            return


async def _changed(workspace: Workspace, by_path: dict[Path, str], seen: dict[str, str], checks: Checks) -> None:
    """Check every file whose text is another one now: editors touch, rename and write twice."""
    # One step aside for all of them: this runs twice a second while nothing is saved.
    hashes = await asyncio.to_thread(lambda: {unit_id: _hash(workspace, unit_id) for unit_id in by_path.values()})
    for unit_id, now in hashes.items():
        if now != seen[unit_id]:
            seen[unit_id] = now
            if now:
                checks.request(unit_id)
            else:
                checks.channel.publish("changed", unit=unit_id)


def _hash(workspace: Workspace, unit_id: str) -> str:
    try:
        source = workspace.read_exercise(unit_id)
    except WorkspaceError as error:
        return f"unreadable: {error}"
    return "" if source is None else sha256_text(source)


async def _sleep(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), POLL_SECONDS)
    except TimeoutError:
        return
