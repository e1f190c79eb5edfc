"""Saving an exercise checks it: the workspace's exercises are watched while the site runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue
from groundup.course.verdict import sha256_text
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
        await _watch_folder(workspace, by_path, seen, checks, stop)


async def _watch_folder(
    workspace: Workspace, by_path: dict[Path, str], seen: dict[str, str], checks: Checks, stop: asyncio.Event
) -> None:
    from watchfiles import awatch

    folder = workspace.exercises
    stamps = _stamps(by_path)
    await _changed(workspace, by_path, seen, checks)
    # A save between two watches, or on a drive that tells of none, is seen at the next timeout.
    rhythm = {"debounce": DEBOUNCE_MS, "step": STEP_MS, "rust_timeout": 500, "yield_on_timeout": True}
    async for changes in awatch(folder, stop_event=stop, **rhythm):
        before, stamps = stamps, await asyncio.to_thread(_stamps, by_path)
        if changes or stamps != before:
            await _changed(workspace, by_path, seen, checks)
        if not folder.is_dir():
            return


def _stamps(by_path: dict[Path, str]) -> dict[Path, tuple[int, int, int]]:
    """The inode, size and time of change of each file: twice a second, no file is read where nothing was saved."""
    stamps = {}
    for path in by_path:
        try:
            stat = path.stat()
        except OSError:
            continue
        stamps[path] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return stamps


async def _changed(workspace: Workspace, by_path: dict[Path, str], seen: dict[str, str], checks: Checks) -> None:
    """Check every file whose text has changed: editors touch, rename and write twice."""
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
