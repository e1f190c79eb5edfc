"""`groundup llm`: a language model from nothing, a command for each stage."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from groundup.cli.mine import SystemGroup
from groundup.cli.options import json_option
from groundup.cli.output import console, escape, print_json
from groundup.errors import ConfigError, GroundupError

if TYPE_CHECKING:
    from groundup.stack.generative.decoding import Sampling
    from groundup.systems.language_model.run_folder import RunFolder
    from groundup.systems.language_model.speaking import Speaker
    from groundup.systems.language_model.training import Progress

F = TypeVar("F", bound=Callable[..., Any])
STAGES = ("tokenizer", "pretrain", "sft", "dpo", "grpo", "quantize", "export")
PRESETS = ("smoke", "laptop", "full")
RUN = click.argument("run", type=click.Path(path_type=Path), default=Path("run"), metavar="[RUN]")


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="The device to compute on.",
)
again_option = click.option("--again", is_flag=True, help="Delete this stage and the stages after it, and start anew.")
begin_options = _options(
    click.option(
        "--preset", type=click.Choice(PRESETS), default="smoke", show_default=True,
        help="smoke: seconds per stage. laptop: a night at most. full: one GPU, and your own text (--text).",
    ),
    click.option(
        "--depth", type=click.IntRange(1, 64), help="Layers; width, heads, learning rate and tokens follow [preset]."
    ),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The seed of every draw."),
    click.option(
        "--text", type=click.Path(path_type=Path), metavar="FILE", help="Pre-train on this text [Tiny Shakespeare]."
    ),
)  # fmt: skip
sampling_options = _options(
    click.option(
        "--stage", metavar="STAGE", help="pretrain, sft, dpo, grpo, ppo, q8_0 or nf4 [the newest trained stage]."
    ),
    click.option("--temperature", type=click.FloatRange(min=0), default=0.8, show_default=True, help="0 is greedy."),
    click.option("--top-k", type=click.IntRange(1), help="Draw from the likeliest K tokens only."),
    click.option(
        "--top-p", type=click.FloatRange(0, 1, min_open=True), help="Draw from the likeliest tokens with P in total."
    ),
    click.option(
        "--min-p",
        type=click.FloatRange(0, 1, min_open=True),
        help="Draw from tokens with P times the highest probability or more.",
    ),
    click.option(
        "--max-tokens", type=click.IntRange(1), default=64, show_default=True, help="The longest answer, in tokens."
    ),
)


@click.group("llm", cls=SystemGroup, epilog="Example: groundup llm all run --preset smoke, then groundup llm chat run")
def llm_command() -> None:
    """Train, tune, shrink and serve a language model, a command for each stage.

    RUN is a folder, ./run by default. Each stage reads the files of the stage before. A stopped stage continues where
    it stopped, with the same losses.
    """


@llm_command.command("tokenizer", epilog="Example: groundup llm tokenizer run --preset smoke --depth 2")
@RUN
@begin_options
@again_option
@json_option
def tokenizer_command(
    run: Path, preset: str, depth: int | None, seed: int, text: Path | None, again: bool, as_json: bool
) -> None:
    """Begin a run: train a byte-level BPE tokenizer, and write the text as tokens."""
    folder = _begin(run, preset, depth, seed)
    _stage(folder, "tokenizer", "cpu", again, as_json, text=text)


def _trained(name: str, summary: str, more: str = "") -> click.Command:
    """The command of a stage whose only parameter is the device."""

    @RUN
    @device_option
    @again_option
    @json_option
    def command(run: Path, device: str, again: bool, as_json: bool) -> None:
        _stage(_open(run), name, device, again, as_json)

    command.__doc__ = f"{summary}\n\n{more}"
    return llm_command.command(name, epilog=f"Example: groundup llm {name} run")(command)


_trained(
    "pretrain",
    "Train a model from nothing on the text, and judge it on the text's last tenth.",
    "Started by `torchrun --nproc-per-node 2 -m groundup llm pretrain run`, two processes share each batch.",
)
_trained("sft", "Teach the pre-trained model to answer instructions; only the answers train.")
_trained("dpo", "Teach the model to prefer the chosen one of two tones, by DPO against the SFT model.")
_trained(
    "grpo",
    "Reinforce answers that a program can verify, by GRPO.",
    "The reward judges form, not truth. It has three equal parts: the answer ends by the stop token after at least "
    "three words; no three tokens in a row occur twice; the answer names a word of the question.",
)
_trained(
    "ppo",
    "Reinforce answers as grpo does, by PPO: the same weights and the same reward, with a critic.",
    "Not part of `all`, and no stage builds on it. `groundup llm chat RUN --stage ppo` talks to its model.",
)
_trained("quantize", "Keep the newest model in 8 bits (Q8_0) and 4 bits (NF4), and measure the loss.")


_trained(
    "export",
    "Write the newest model for other programs: GGUF for llama.cpp, a folder for Hugging Face.",
    "RUN/export gets model-f16.gguf, model-q8_0.gguf and hugging_face/. The command rereads and judges the files.",
)


@llm_command.command("all", epilog="Example: groundup llm all run --preset smoke")
@RUN
@begin_options
@device_option
@json_option
def all_command(
    run: Path, preset: str, depth: int | None, seed: int, text: Path | None, device: str, as_json: bool
) -> None:
    """Run every stage in turn; leave out finished stages."""
    folder = _begin(run, preset, depth, seed)
    for stage in STAGES:
        _stage(folder, stage, device, False, as_json, text=text)
    if not as_json:
        console().print(f"\n[dim]`groundup llm chat {escape(str(run))}` talks to it.[/]")


@llm_command.command("report", epilog="Example: groundup llm report run")
@RUN
@json_option
def report_command(run: Path, as_json: bool) -> None:
    """Show the result of every stage of a run."""
    folder = _open(run)
    entries = folder.report() if folder.settings else []
    if as_json:
        print_json(entries)
    else:
        for entry in entries:
            _print_entry(entry)


@llm_command.command("chat", epilog="Example: groundup llm chat run --say 'What is a pod?' --top-p 0.9")
@RUN
@sampling_options
@click.option("--seed", type=click.IntRange(min=0), help="The seed of the draws [another every time].")
@click.option("--say", metavar="TEXT", help="Ask this, print the answer and end.")
@device_option
def chat_command(
    run: Path,
    stage: str | None,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    max_tokens: int,
    seed: int | None,
    say: str | None,
    device: str,
) -> None:
    """Talk to the model; an empty line or Ctrl-D ends. The model of the stage `pretrain` continues your text."""
    sampling = _sampling(temperature, top_k, top_p, min_p)
    speaker = _speaker(run, stage, device)
    messages: list[dict[str, str]] = []
    if say is None:
        click.echo(f"{speaker.name}, of {run}. It knows little: judge its form, not its facts.", err=True)
    while True:
        text = say if say is not None else _read_line()
        if not text:
            return
        messages.append({"role": "user", "content": text})
        try:
            written = _stream(speaker.reply(messages, sampling, max_tokens, seed).pieces)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        if say is not None:
            return
        messages.append({"role": "assistant", "content": written})


@llm_command.command("serve", epilog="Example: groundup llm serve run --port 8700")
@RUN
@click.option("--stage", metavar="STAGE", help="pretrain, sft, dpo, grpo, ppo, q8_0 or nf4 [the newest trained stage].")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; beyond loopback, set GROUNDUP_TOKEN."
)
@click.option(
    "--port", default=8700, show_default=True, type=click.IntRange(0, 65535), help="Port, or the next free port."
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="The longest answer, for a request that sets none.",
)
@device_option
def serve_command(run: Path, stage: str | None, host: str, port: int, max_tokens: int, device: str) -> None:
    """Serve the model by OpenAI's protocol until Ctrl-C: /v1/models and /v1/chat/completions, streamed or whole.

    With a secret in GROUNDUP_TOKEN, the server answers only requests that send it (`Authorization: Bearer …`).
    """
    speaker = _speaker(run, stage, device)
    from groundup.systems.language_model.server import serve

    token = os.environ.get("GROUNDUP_TOKEN", "")
    serve(speaker, host=host, port=port, token=token, max_tokens=max_tokens, say=click.echo)


def _read_line() -> str:
    try:
        return click.prompt("you", prompt_suffix="> ", default="", show_default=False, err=True)
    except click.Abort:
        click.echo(err=True)
        return ""


def _stream(pieces: Any) -> str:
    from groundup.terminal import visible

    written = ""
    for piece in pieces:
        written += piece
        click.echo("\n".join(map(visible, piece.split("\n"))), nl=False)
        sys.stdout.flush()
    click.echo()
    return written


# --- running a stage ------------------------------------------------------------------------------------------------


def _need() -> None:
    from groundup.extras import need

    need("groundup llm", "torch", "regex", "safetensors")


def _open(path: Path) -> RunFolder:
    _need()
    from groundup.systems.language_model.run_folder import RunFolder

    return RunFolder(path)


def _begin(path: Path, preset: str, depth: int | None, seed: int) -> RunFolder:
    folder = _open(path)
    from groundup.systems.language_model.settings import settings_of

    folder.create(settings_of(preset, depth, seed))
    return folder


def _speaker(path: Path, stage: str | None, device: str) -> Speaker:
    folder = _open(path)
    from groundup.errors import UnknownName
    from groundup.systems.language_model.run_folder import BESIDE, QUANTIZED, TRAINED
    from groundup.systems.language_model.speaking import Speaker
    from groundup.systems.language_model.stages import choose_device

    if stage is not None and stage not in (*TRAINED, *BESIDE, *QUANTIZED):
        raise UnknownName("stage with a model", stage, (*TRAINED, *BESIDE, *QUANTIZED), see="groundup llm chat --help")
    return Speaker(folder, stage, choose_device(device))


def _sampling(temperature: float, top_k: int | None, top_p: float | None, min_p: float | None) -> Sampling:
    _need()
    from groundup.stack.generative.decoding import Sampling

    return Sampling(temperature, top_k, top_p, min_p)


def _stage(folder: RunFolder, name: str, device: str, again: bool, as_json: bool, text: Path | None = None) -> None:
    """Run a stage, unless it is done, and print its result."""
    from groundup.systems.language_model import parallel, stages
    from groundup.systems.language_model.checkpoint import latest

    done = [entry for entry in folder.report() if entry["stage"] == name]
    if done and not again and stages.is_done(folder, name):
        entry = done[-1]
        click.echo(f"groundup: {name} is done; --again starts it anew.", err=True)
    else:
        if parallel.join() > 1 and name != "pretrain":
            raise ConfigError(f"torchrun is for pretrain alone, got {name}. Run: {folder.command(name)}")
        watch = _Watch(name, quiet=as_json or not parallel.is_first())
        options = stages.Options(stages.choose_device(device), again, watch, text)
        try:
            entry = getattr(stages, name)(folder, options)
        except KeyboardInterrupt:
            checkpoint = latest(folder.path / name)
            kept = f"The checkpoint of step {checkpoint.step} is kept" if checkpoint else "There is no checkpoint yet"
            click.echo(f"\nStopped at step {watch.step}. {kept}. Continue with: {folder.command(name)}", err=True)
            raise
        except GroundupError:
            watch.end()
            raise
        finally:
            writes = parallel.is_first()
            parallel.leave()
        watch.end()
        if not writes:
            return
    if as_json:
        print_json(entry)
    else:
        _print_entry(entry)


class _Watch:
    """The progress line on standard error: it changes in place on a terminal, and repeats elsewhere."""

    def __init__(self, stage: str, quiet: bool) -> None:
        self.step, self._quiet, self._last_line, self._terminal = 0, quiet, 0.0, sys.stderr.isatty()
        if not quiet:
            click.echo(f"{stage} …", err=True)

    def __call__(self, progress: Progress) -> None:
        self.step = progress.step
        now = time.monotonic()
        last = progress.step == progress.steps
        if self._quiet or not (last or now - self._last_line > (0.1 if self._terminal else 10)):
            return
        self._last_line = now
        click.echo(f"\r{progress.line()}\x1b[K" if self._terminal else progress.line(), nl=not self._terminal, err=True)

    def end(self) -> None:
        """Leave the line."""
        if self._terminal and self._last_line:
            click.echo(err=True)


def _print_entry(entry: dict[str, Any]) -> None:
    from rich.table import Table as Grid

    out = console()
    out.print(f"\n[bold]{entry['stage']}[/], {entry['seconds']} s, {entry['preset']}, depth {entry['depth']}")
    grid = Grid(box=None, padding=(0, 2), show_header=False)
    grid.add_column()
    grid.add_column(justify="right", no_wrap=True)
    for row in entry["rows"]:
        beside = f"[dim]{_shown(row['baseline'])} {escape(row['of'])}[/]" if row["of"] else ""
        grid.add_row(escape(row["measure"]), _shown(row["value"]), beside)
    out.print(grid)
    out.print(f"[dim]Data: {escape('; '.join(entry['data']))}.[/]")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
