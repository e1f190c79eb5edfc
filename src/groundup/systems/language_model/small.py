"""The small model that comes with groundup: a run of the chain, packed as one GGUF file with what is known of it.

    python -m groundup.systems.language_model.small RUN           # packs a run's newest model

`weights/small.json` says how it was made, of which data under which licences, and how good it is on what never trained,
beside a unigram model, the small model that it replaces, and answers that need no model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import StoreError
from groundup.files import replace_file

if TYPE_CHECKING:
    from groundup.systems.language_model.speaking import Speaker

FOLDER = Path(__file__).parent / "weights"
MODEL, ABOUT = FOLDER / "small.gguf", FOLDER / "small.json"
NAME = "groundup-small"


def about_small() -> dict[str, Any]:
    """What is known of the small model.

    Raises:
        StoreError: it is not there, or is another file than the one that was described.
    """
    from groundup.data.fetch import sha256_of

    try:
        about = json.loads(ABOUT.read_text(encoding="utf-8"))
        same = sha256_of(MODEL) == about["sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{FOLDER} must hold the small model: {error}. Install groundup again.") from error
    if not same:
        raise StoreError(f"{MODEL} is another file than {ABOUT.name} describes. Install groundup again.")
    return about


def small_line(about: dict[str, Any]) -> str:
    """One line that says what it was trained for, and how weak it is."""
    size = f"{NAME}: {about['parameters'] / 1e6:.1f} million weights, trained on {', '.join(about['data'])} by one core"
    measures = about["measures"]
    if commands := measures.get("commands"):
        what = "to write the command line for a described task, as in: How do I list all files with ls?"
        right, nearest = (100 * commands[who]["exact"] for who in ("model", "nearest"))
        how = f"{right:.0f} % of its lines are right for unseen commands (a search of its data: {nearest:.0f} %)"
    else:
        what, answers = "to answer.", measures["answers"]
        how = f"held-out answers have {answers['loss']:.2f} nats a token (a unigram model {answers['unigram']:.2f})"
    return f"{size} {what} It is small: {how}. Run no line that you have not checked. Your own: groundup llm all run"


def pack_small(folder: Path, target: Path = FOLDER) -> dict[str, Any]:
    """Write a run's newest model and what is known of it; return the latter.

    Raises:
        StoreError: a stage is missing, or the folder cannot be written.
    """
    import torch

    from groundup.data.fetch import sha256_of
    from groundup.data.registry import REGISTRY
    from groundup.stack.generative.export import export_gguf, from_gguf
    from groundup.systems.language_model import evaluation as judge
    from groundup.systems.language_model.data import STOP, TEMPLATE, chat_of, encode, read_instructions
    from groundup.systems.language_model.run_folder import RunFolder
    from groundup.systems.language_model.speaking import Speaker

    run = RunFolder(folder)
    stage, settings, text = run.newest(), run.settings, run.tokens()
    if not text.document["text"].startswith(settings.corpus):
        raise StoreError(f"{folder} must be of a corpus whose licence is known, and is of {text.document['text']}.")
    model, source = run.model(stage)
    chats = read_instructions(settings.corpus)
    target.mkdir(parents=True, exist_ok=True)
    place = target / MODEL.name
    replaced = Speaker.of_file(place) if place.is_file() else None
    export_gguf(place, model, run.tokenizer, "Q8_0", STOP, TEMPLATE.jinja)
    packed = from_gguf(place)
    train, held_out = (
        [
            each
            for each in encode([chat_of(row.question, row.answer) for row in part], run.tokenizer, settings.context)
            if each is not None
        ]
        for part in (chats.train, chats.held_out)
    )
    _, targets = judge.windows(text.tensors["validation"], settings.context)
    vocabulary, asked = run.tokenizer.size, judge.answer_tokens(held_out)
    pretrained, before = run.model("pretrain")
    # What is tuned to answer forgets how pages go on, so the text judges the model from before the tuning.
    losses = {
        "text_before_tuning": judge.text_loss(pretrained, text.tensors["validation"], settings.context, "cpu"),
        "answers": judge.answers_loss(packed, held_out, settings.context, "cpu"),
    }
    unigram = {
        "text_before_tuning": judge.unigram_loss(text.tensors["train"], targets.flatten(), vocabulary),
        "answers": judge.unigram_loss(judge.answer_tokens(train), asked, vocabulary),
    }
    measures: dict[str, Any] = {
        "what": "mean cross-entropy in nats a token, on what never trained; answers: of the 8-bit file",
        "chats": len(held_out),
        **{part: {"loss": round(loss, 4), "unigram": round(unigram[part], 4)} for part, loss in losses.items()},
    }
    count, size = len(text.tensors["validation"]), text.document["validation_bytes"]
    measures["text_before_tuning"] |= {
        name: round(judge.bits_per_byte(each["text_before_tuning"], count, size), 4)
        for name, each in (("bits_per_byte", losses), ("unigram_bits_per_byte", unigram))
    }
    if settings.corpus == "tldr_pages":
        measures["commands"] = _commands(Speaker.of_file(place), replaced)
    about = {
        "sha256": sha256_of(place),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "stage": stage,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "settings": vars(settings),
        "steps": {name: run.need(name).step for name in ("pretrain", stage)},
        "checkpoints_sha256": {"pretrain": before.sha256, stage: source.sha256},
        "data": {
            name: {
                "sha256": REGISTRY[name].sha256, "licence": REGISTRY[name].licence, "source": REGISTRY[name].citation,
                "address": REGISTRY[name].url,
            }
            for name in ("instructions", settings.corpus)
        },
        "data_as_read": {"text": text.document["text"], "chats": chats.label, "chats_sha256": chats.sha256},
        "measures": measures,
        "made_with": {"torch": torch.__version__.split("+")[0], "seconds": _seconds(run.report())},
    }  # fmt: skip
    replace_file(target / ABOUT.name, json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    return about


def _commands(made: Speaker, replaced: Speaker | None) -> dict[str, Any]:
    """How often the greedy answer to a described task is right, beside other ways to answer."""
    from groundup.stack.generative.decoding import GREEDY
    from groundup.systems.language_model.commands import Nearest, Use, commonest, judged, score, uses_of
    from groundup.systems.language_model.data import read_pages

    def asks(speaker: Speaker) -> Callable[[Use], str]:
        return lambda use: "".join(speaker.answer([{"role": "user", "content": use.question}], GREEDY, 64).pieces)

    (train, held_out), _ = read_pages()
    known, uses = uses_of(train), judged(held_out)
    ways = {"model": asks(made), "nearest": Nearest(known), "commonest": commonest(known)}
    ways |= {"replaced": asks(replaced)} if replaced else {}
    return {
        "what": "greedy lines for uses of commands whose pages trained in nothing: shares with the whole line and with "
        "the program right, and the mean F1 of the words; nearest: the line of the likest training use, its program "
        "replaced; commonest: the commonest training line; replaced: the small model before this one",
        "asked": len(uses),
        **{name: {what: round(value, 4) for what, value in score(way, uses).items()} for name, way in ways.items()},
    }


def _seconds(report: list[dict[str, Any]]) -> dict[str, float]:
    return {entry["stage"]: entry["seconds"] for entry in report}


if __name__ == "__main__":
    print(small_line(pack_small(Path(sys.argv[1]))))
