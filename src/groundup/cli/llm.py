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
CORPORA = ("tiny_shakespeare", "tldr_pages")
RUN = click.argument("run", type=click.Path(path_type=Path), default=Path("run"), metavar="[RUN]")
ANY_RUN = click.argument("run", type=click.Path(path_type=Path), required=False, metavar="[RUN]")
model_option = click.option(
    "--model", metavar="FILE.gguf", help="A published model instead of a run: a GGUF file, or smollm2 (fetched once)."
)


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
mlflow_option = click.option(
    "--mlflow/--no-mlflow", default=True, help="Record the stage in RUN/mlflow.db, where MLflow is installed."
)
again_option = click.option("--again", is_flag=True, help="Delete this stage and the stages after it, and start anew.")
precision_option = click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="bfloat16 is up to three times as fast where the processor has it (AVX-512 BF16, AMX) or there is a GPU.",
)
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
        "--corpus", type=click.Choice(CORPORA), default=CORPORA[0], show_default=True,
        help="tldr_pages: a model that is asked for command lines.",
    ),
    precision_option,
    click.option(
        "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Another value than the preset's: sft_steps=50."
    ),
    click.option(
        "--text", type=click.Path(path_type=Path), metavar="FILE", help="Pre-train on this text [the corpus]."
    ),
)  # fmt: skip
sampling_options = _options(
    click.option(
        "--stage", metavar="STAGE", help="pretrain, sft, dpo, grpo, ppo, q8_0, q4_0 or nf4 [the newest trained stage]."
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
@mlflow_option
@json_option
def tokenizer_command(
    run: Path, preset: str, depth: int | None, seed: int, corpus: str, precision: str,
    changes: tuple[str, ...], text: Path | None, again: bool,
    mlflow: bool, as_json: bool,
) -> None:  # fmt: skip
    """Begin a run: train a byte-level BPE tokenizer, and write the text as tokens."""
    folder = _begin(run, preset, depth, seed, corpus, precision, changes)
    _stage(folder, "tokenizer", "cpu", again, as_json, mlflow, text=text)


def _trained(
    name: str, summary: str, more: str = "", own: Callable[[Any], Any] = lambda command: command
) -> click.Command:
    """The command of a stage whose parameters are the device and its own."""

    @RUN
    @own
    @device_option
    @again_option
    @mlflow_option
    @json_option
    def command(run: Path, device: str, again: bool, mlflow: bool, as_json: bool, **its_own: Any) -> None:
        _stage(_open(run), name, device, again, as_json, mlflow, **its_own)

    command.__doc__ = f"{summary}\n\n{more}"
    return llm_command.command(name, epilog=f"Example: groundup llm {name} run")(command)


_trained(
    "pretrain",
    "Train a model from nothing on the text, and judge it on the text's last tenth.",
    "Started by `torchrun --nproc-per-node 2 -m groundup llm pretrain run`, two processes share each batch.",
    click.option("--compile", "compiled", is_flag=True, help="Kernels by torch.compile; needs a C++ compiler."),
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
_trained("quantize", "Keep the newest model in 8 bits (Q8_0) and 4 bits (Q4_0, NF4), and measure the loss.")


_trained(
    "export",
    "Write the newest model for other programs: GGUF for llama.cpp, a folder for Hugging Face.",
    "RUN/export gets model-f16.gguf, model-q8_0.gguf and hugging_face/. The command rereads and judges the files.",
)


@llm_command.command("all", epilog="Example: groundup llm all run --preset smoke")
@RUN
@begin_options
@device_option
@mlflow_option
@json_option
def all_command(
    run: Path, preset: str, depth: int | None, seed: int, corpus: str, precision: str,
    changes: tuple[str, ...], text: Path | None, device: str,
    mlflow: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run every stage in turn; leave out finished stages."""
    folder = _begin(run, preset, depth, seed, corpus, precision, changes)
    for stage in STAGES:
        _stage(folder, stage, device, False, as_json, mlflow, text=text)
    if not as_json:
        console().print(f"\n[dim]`groundup llm chat {escape(str(run))}` talks to it.[/]")


@llm_command.command(
    "finetune", epilog="Example: groundup llm finetune tuned --model smollm2 --steps 20 && groundup llm chat --model "
    "tuned/model-q8_0.gguf",
)  # fmt: skip
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--model", required=True, metavar="MODEL",
    help="smollm2, a GGUF file, or a model of Hugging Face: its folder or its name, as Qwen/Qwen3-0.6B.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(["sft", "dpo"]), default="sft", show_default=True, help="dpo: Hugging Face."
)
@click.option("--steps", type=click.IntRange(1), help="Steps of training [20; of Hugging Face's models 100].")
@click.option("--rank", type=click.IntRange(1), help="Of the adapters [8; 16].")
@click.option("--context", type=click.IntRange(16), help="Tokens of a row of chats [256; 512].")
@click.option("--examples", type=click.IntRange(1), help="Chats or pairs of a step [4; 8].")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="At the first step [1e-3; 2e-4].")
@click.option("--four-bit/--whole", default=None, help="Of Hugging Face's: the base in NF4 [with a GPU].")
@precision_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of every draw.")
@device_option
@json_option
def finetune_command(
    folder: Path, model: str, method: str, four_bit: bool | None, precision: str, seed: int, device: str,
    as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Fine-tune a published model by LoRA on the dataset `instructions`.

    A GGUF file is trained by our own model, and FOLDER gets the adapter and model-q8_0.gguf with it merged in; a run
    that was stopped goes on where it was. A model of Hugging Face is trained by transformers, peft and trl (the extra
    `finetune`), and FOLDER gets adapter/ and merged/.
    """
    _need()
    from groundup.systems.language_model import finetuning, hub, published, stages

    values = {name: value for name, value in given.items() if value is not None}
    watch = _Watch("finetune", quiet=as_json)
    options = stages.Options(stages.choose_device(device), report=watch)
    try:
        if model == published.SMALL or model.endswith(".gguf"):
            if method != "sft" or four_bit is not None:
                raise ConfigError(f"--method dpo and --four-bit are for models of Hugging Face, got --model {model}.")
            tuning = finetuning.Tuning(precision=precision, seed=seed, **values)
            entry = finetuning.finetune(published.file_of(model), folder, tuning, options)
        else:
            four_bit = options.device == "cuda" if four_bit is None else four_bit
            wanted = hub.HubTuning(method, four_bit=four_bit, seed=seed, **values)  # pyright: ignore
            entry = hub.finetune_hub(model, folder, wanted, options)
    finally:
        watch.end()
    if as_json:
        print_json(entry)
    else:
        _print_entry(entry)


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
@ANY_RUN
@model_option
@sampling_options
@click.option("--seed", type=click.IntRange(min=0), help="The seed of the draws [another every time].")
@click.option("--say", metavar="TEXT", help="Ask this, print the answer and end.")
@device_option
def chat_command(
    run: Path | None,
    model: str | None,
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
    """Talk to a model; an empty line or Ctrl-D ends. A model that knows no chats continues your text.

    The model is that of the folder RUN, or of the file that --model names. Without either it is that of ./run, and
    where there is none, the small model that comes with groundup.
    """
    sampling = _sampling(temperature, top_k, top_p, min_p)
    speaker, what = _speaker(run, stage, device, model)
    messages: list[dict[str, str]] = []
    click.echo(what, err=True)
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
@ANY_RUN
@model_option
@click.option(
    "--stage", metavar="STAGE", help="pretrain, sft, dpo, grpo, ppo, q8_0, q4_0 or nf4 [the newest trained stage]."
)
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
def serve_command(
    run: Path | None, model: str | None, stage: str | None, host: str, port: int, max_tokens: int, device: str
) -> None:
    """Serve the model by OpenAI's protocol until Ctrl-C: /v1/models and /v1/chat/completions, streamed or whole.

    With a secret in GROUNDUP_TOKEN, the server answers only requests that send it (`Authorization: Bearer …`).
    """
    speaker, what = _speaker(run, stage, device, model)
    click.echo(what, err=True)
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


def _begin(
    path: Path, preset: str, depth: int | None, seed: int, corpus: str, precision: str, changes: tuple[str, ...]
) -> RunFolder:
    folder = _open(path)
    from groundup.systems.language_model.settings import settings_of

    pairs = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise ConfigError(f"--set must be NAME=VALUE, got {change!r}, as in --set sft_steps=50.")
        pairs[name] = value
    folder.create(settings_of(preset, depth, seed, corpus=corpus, precision=precision, changes=pairs))
    return folder


def _speaker(path: Path | None, stage: str | None, device: str, model: str | None) -> tuple[Speaker, str]:
    """The model that is meant, and a line that says what it is."""
    if model is not None:
        if path is not None or stage is not None:
            raise ConfigError(f"--model {model} is instead of a run folder and its --stage. Give one of both.")
        _need()
        from groundup.systems.language_model.published import file_of
        from groundup.systems.language_model.speaking import Speaker
        from groundup.systems.language_model.stages import choose_device

        speaker = Speaker.of_file(file_of(model), choose_device(device))
        kind = "answers" if speaker.template else "knows no chats: it continues your text"
        return speaker, f"{speaker.name}, a published model, on groundup's own GPT. It {kind}."
    if path is None and stage is None and not Path("run").exists():
        _need()
        from groundup.systems.language_model import small
        from groundup.systems.language_model.speaking import Speaker
        from groundup.systems.language_model.stages import choose_device

        about = small.about_small()
        speaker = Speaker.of_file(small.MODEL, choose_device(device))
        speaker.name = small.NAME
        return speaker, small.small_line(about)
    path = path or Path("run")
    folder = _open(path)
    from groundup.errors import UnknownName
    from groundup.systems.language_model.run_folder import BESIDE, QUANTIZED, TRAINED
    from groundup.systems.language_model.speaking import Speaker
    from groundup.systems.language_model.stages import choose_device

    if stage is not None and stage not in (*TRAINED, *BESIDE, *QUANTIZED):
        raise UnknownName("stage with a model", stage, (*TRAINED, *BESIDE, *QUANTIZED), see="groundup llm chat --help")
    speaker = Speaker.of_run(folder, stage, choose_device(device))
    return speaker, f"{speaker.name}, of {path}. It knows little: look at how it speaks, not at what."


def _sampling(temperature: float, top_k: int | None, top_p: float | None, min_p: float | None) -> Sampling:
    _need()
    from groundup.stack.generative.decoding import Sampling

    return Sampling(temperature, top_k, top_p, min_p)


def _stage(
    folder: RunFolder, name: str, device: str, again: bool, as_json: bool, mlflow: bool, text: Path | None = None,
    compiled: bool = False,
) -> None:  # fmt: skip
    """Run a stage, unless it is done, and print its result."""
    from groundup import background
    from groundup.systems.language_model import parallel, recording, stages
    from groundup.systems.language_model.checkpoint import latest

    done = [entry for entry in folder.report() if entry["stage"] == name]
    if done and not again and stages.is_done(folder, name):
        entry = done[-1]
        click.echo(f"groundup: {name} is done; --again starts it anew.", err=True)
    else:
        if parallel.join() > 1 and name != "pretrain":
            raise ConfigError(f"torchrun is for pretrain alone, got {name}. Run: {folder.command(name)}")
        watch = _Watch(name, quiet=as_json or not parallel.is_first())
        options = stages.Options(stages.choose_device(device), again, watch, text, compiled)
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
        if mlflow and background.is_on():
            recording.start_recording(folder.path)
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
