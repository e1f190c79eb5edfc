"""The chain: a stopped stage goes on with equal losses, foreign checkpoints are refused, numbers are right."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from groundup.cli import main
from groundup.errors import ConfigError, StoreError
from groundup.stack.generative.gpt import Config
from groundup.stack.generative.scaling import count_flops
from groundup.systems.language_model import data, speed, stages, training
from groundup.systems.language_model.checkpoint import latest, load, save
from groundup.systems.language_model.data import encode_prompt, read_texts
from groundup.systems.language_model.evaluation import text_loss, unigram_loss, windows
from groundup.systems.language_model.ppo import Critic
from groundup.systems.language_model.rewards import parts, reward
from groundup.systems.language_model.run_folder import RunFolder
from groundup.systems.language_model.settings import Settings, settings_of
from groundup.systems.language_model.stages import Options
from groundup.systems.language_model.training import Progress
from tests.systems.language_model.conftest import TINY, begin, instructions

STAGES = ("pretrain", "sft", "dpo", "grpo", "ppo")


class Killed(BaseException):
    """What ends a process in the middle of its work."""


def killed_after(step: int):
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    return report


def curve(run: RunFolder, stage: str) -> list[float]:
    return run.need(stage).document["curve"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_was_killed_goes_on_with_the_same_curve_and_weights(stage, trained, tmp_path):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained.path, run.path)
    whole = trained.need(stage)
    assert len(whole.document["curve"]) == whole.step >= 3
    with pytest.raises(Killed):  # at step 3, of which there is no checkpoint
        getattr(stages, stage)(run, Options(again=True, report=killed_after(3)))
    left = latest(run.path / stage)
    assert left is not None
    assert left.step == 2
    with pytest.raises(StoreError, match=rf"is at step 2 of {whole.step}. Continue: groundup llm {stage}"):
        run.need(stage)
    getattr(stages, stage)(run, Options())
    assert curve(run, stage) == whole.document["curve"]
    resumed = run.need(stage)
    assert all(torch.equal(resumed.tensors[name], tensor) for name, tensor in whole.tensors.items())


def test_a_checkpoint_that_was_being_written_is_not_seen(run, monkeypatch):
    with pytest.raises(Killed):
        stages.pretrain(run, Options(report=killed_after(3)))
    folder = run.path / "pretrain"
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        save(folder, 4, {"x": torch.zeros(1)}, {})
    found = latest(folder)
    assert found is not None
    assert found.step == 2


def damaged(run: RunFolder, stage: str, name: str, change) -> Path:
    found = latest(run.path / stage)
    assert found is not None
    path = found.folder / name
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("tensors.safetensors", lambda data: data[:-8] + b"\xff" * 8, "its SHA-256 differs"),
        ("tensors.safetensors", lambda data: data[: len(data) // 2], "its SHA-256 differs"),
        ("checkpoint.json", lambda data: data.replace(b'"step": 2', b'"step": 3'), "was changed after it was written"),
        ("checkpoint.json", lambda data: data[:40], "is damaged"),
        ("checkpoint.json", lambda data: b"[]", "must be of format 1"),
    ],
)
def test_a_damaged_checkpoint_is_refused_by_name_and_reason(name, change, reason, run):
    with pytest.raises(Killed):
        stages.pretrain(run, Options(report=killed_after(3)))
    path = damaged(run, "pretrain", name, change)
    with pytest.raises(StoreError, match=reason) as refused:
        stages.pretrain(run, Options())
    assert str(path) in str(refused.value)


def test_a_checkpoint_without_its_tensors_is_refused(run):
    stages.pretrain(run, Options())
    (run.need("pretrain").folder / "tensors.safetensors").unlink()
    with pytest.raises(StoreError, match=r"tensors.safetensors cannot be read"):
        stages.sft(run, Options())


def test_checkpoints_of_other_settings_data_and_weights_are_refused(run, tmp_path):
    with pytest.raises(Killed):
        stages.pretrain(run, Options(report=killed_after(3)))
    settings = json.loads((run.path / "settings.json").read_text())
    (run.path / "settings.json").write_text(json.dumps(settings | {"batch": 5}))
    with pytest.raises(StoreError, match=r"settings.batch is 4 there, and 5 here.*--again"):
        stages.pretrain(RunFolder(run.path), Options())
    (run.path / "settings.json").write_text(json.dumps(settings))
    text = run.tokens()
    save(run.path / "tokens", 0, text.tensors | {"train": text.tensors["train"][1:]}, {"validation_bytes": 1})
    with pytest.raises(StoreError, match="belongs to another run: data is"):
        stages.pretrain(run, Options())


def test_a_stage_says_which_one_must_come_before(run, tmp_path):
    with pytest.raises(StoreError, match="has no pretrain yet. Run: groundup llm pretrain"):
        stages.sft(run, Options())
    with pytest.raises(StoreError, match=r"has no settings.json yet. Run: groundup llm tokenizer"):
        stages.pretrain(RunFolder(tmp_path / "nothing"), Options())


def test_a_stage_started_anew_takes_away_what_was_made_of_it(trained, tmp_path):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained.path, run.path)
    stages.sft(run, Options(again=True))
    assert {path.name for path in run.path.iterdir() if path.is_dir()} == {"tokens", "pretrain", "sft"}
    assert curve(run, "sft") == curve(trained, "sft")


def test_a_loss_that_is_no_number_ends_the_stage_and_keeps_the_checkpoint(run, monkeypatch):
    wrong = iter([1.0, 1.0, 1.0, math.nan])
    monkeypatch.setattr(training, "average", lambda parameters, loss: next(wrong))
    with pytest.raises(StoreError, match=r"pretrain: the loss is nan at step 4"):
        stages.pretrain(run, Options())
    found = latest(run.path / "pretrain")
    assert found is not None
    assert found.step == 2


def test_the_report_has_each_stage_with_its_baseline(trained):
    entries = {entry["stage"]: entry for entry in trained.report()}
    assert list(entries) == ["tokenizer", *STAGES, "quantize", "export"]
    rows = {(stage, row["measure"]): row for stage, entry in entries.items() for row in entry["rows"]}
    validation = rows["pretrain", "validation loss (nats a token)"]
    assert validation["of"] == "unigram"
    answers = rows["sft", "loss on held-out answers"]
    assert answers["value"] < answers["baseline"]
    assert rows["dpo", "accuracy of implicit rewards, held-out pairs"]["baseline"] == 0.5
    assert rows["quantize", "q8_0: bits a weight, linear layers"]["value"] == 8.5
    assert rows["quantize", "q4_0: bits a weight, linear layers"]["value"] == 4.5
    assert 4 < rows["quantize", "nf4: bits a weight, linear layers"]["value"] < 4.3
    plain, small = (rows["quantize", f"{kind}: validation loss"]["value"] for kind in ("float32", "q8_0"))
    assert small == pytest.approx(plain, abs=0.01)


def test_ppo_goes_on_from_dpo_and_leaves_the_chain_alone(trained):
    assert trained.newest() == "grpo"
    assert trained.need("ppo").document["begins_with"] == trained.need("dpo").sha256
    policy, before = (trained.model(stage)[0].state_dict() for stage in ("ppo", "dpo"))
    assert any(not torch.equal(policy[name], weight) for name, weight in before.items())


def test_the_critic_begins_at_0_and_sees_no_later_token(trained):
    critic = Critic(trained.model("dpo")[0])
    tokens = torch.arange(8)[None] + 40
    assert torch.equal(critic(tokens), torch.zeros(1, 7))
    torch.nn.init.ones_(critic.score.weight)
    changed = tokens.clone()
    changed[0, 5:] = 9
    assert torch.allclose(critic(changed)[0, :5], critic(tokens)[0, :5], atol=1e-5)
    assert not torch.allclose(critic(changed)[0, 5:], critic(tokens)[0, 5:])


def test_exported_files_hold_the_model(trained):
    from safetensors.torch import load_file

    from groundup.stack.generative.export import from_gguf

    model, _ = trained.model("grpo")
    tokens = trained.tokens().tensors["validation"][:64][None].long()
    folder = trained.path / "export"
    assert {path.name for path in folder.iterdir()} == {
        "export.json", "hugging_face", "model-f16.gguf", "model-q8_0.gguf",
    }  # fmt: skip
    with torch.no_grad():
        for name, tolerance in (("model-f16.gguf", 0.02), ("model-q8_0.gguf", 0.2)):
            assert torch.allclose(from_gguf(folder / name)(tokens), model(tokens), atol=tolerance)
    weights = load_file(folder / "hugging_face" / "model.safetensors")
    assert torch.equal(weights["model.embed_tokens.weight"], model.embedding.weight)


def test_validation_loss_and_unigram_are_right_by_hand(trained):
    model, _ = trained.model("pretrain")
    tokens = trained.tokens().tensors["validation"][:129]
    inputs, targets = windows(tokens, 64)
    assert torch.equal(targets[:, :-1], inputs[:, 1:])
    expected = torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).item()
    assert text_loss(model, tokens, 64, "cpu") == pytest.approx(expected, rel=1e-5)
    # Of three tokens, 0 and 1 came twice and once: with one more of each, 3/6 and 2/6; 2 has 1/6.
    loss = unigram_loss(torch.tensor([0, 0, 1]), torch.tensor([0, 2]), 3)
    assert loss == pytest.approx((math.log(2) + math.log(6)) / 2)


def test_held_out_instructions_share_no_wording_with_those_that_train(monkeypatch):
    from groundup.data import load as real

    monkeypatch.setattr(data, "load", real)
    monkeypatch.setenv("GROUNDUP_OFFLINE", "1")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a stand-in will do
        chats = data.read_instructions()
    wordings = [{row.question.split("\n")[0] for row in part} for part in (chats.train, chats.held_out)]
    assert not wordings[0] & wordings[1]
    assert chats.held_out


def test_the_reward_is_earned_part_by_part():
    question, stop = "Name a river of France.", 9
    assert parts(question, "The river Seine.", [1, 2, 3, 9], stop) == {"ends": True, "varied": True, "names": True}
    assert parts(question, "", [9], stop) == {"ends": False, "varied": False, "names": False}
    assert not parts(question, "Ja.", [1, 9], stop)["ends"]
    assert not parts(question, "x", [1, 2, 3, 1, 2, 3, 9], stop)["varied"]
    assert reward(question, "Seine", [1, 2, 3], stop) == pytest.approx(1 / 3)


def test_the_share_of_the_machine_that_is_used_is_operations_over_the_peak(monkeypatch):
    config = Config(vocabulary=10, layers=1, heads=1, width=8, context=4, hidden=16)
    monkeypatch.setattr(speed, "measured_peak", lambda device: 1e6)
    wanted = count_flops(config, 2, 4) / 8 * 1000 / 1e6  # of a token, a thousand of them a second
    assert speed.model_utilization(config, 2, 1000.0, "cpu") == pytest.approx(wanted)


def test_one_dial_sets_the_size():
    twelve = settings_of("full")
    assert (twelve.depth, twelve.width, twelve.learning_rate) == (12, 768, 6e-4)
    small = settings_of("full", depth=2)
    assert (small.width, small.hidden, small.learning_rate) == (128, 384, pytest.approx(3.6e-3))
    assert small.pretrain_steps(1024, 10**9) < twelve.pretrain_steps(1024, 10**9)
    assert small.pretrain_steps(1024, 32768) == round(20 * 32768 / (64 * 512))  # no more than 20 passes


@pytest.mark.parametrize(("name", "value"), [("depth", 0), ("context", 8), ("group", 1), ("tokens_per_parameter", 0.0)])
def test_settings_that_make_no_sense_are_refused(name, value):
    with pytest.raises(ConfigError, match=rf"{name} must be"):
        Settings(**{**vars(TINY), name: value})


def test_a_folder_with_something_else_or_other_settings_is_left_alone(run, tmp_path):
    with pytest.raises(ConfigError, match="was made with other settings: seed"):
        RunFolder(run.path).create(Settings(**{**vars(TINY), "seed": 1}))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="holds something else"):
        RunFolder(tmp_path / "mine").create(TINY)


def test_texts_of_the_user_are_checked(tmp_path):
    short, wrong = tmp_path / "short.txt", tmp_path / "wrong.txt"
    short.write_text("too short")
    wrong.write_bytes(b"\xff" * 20_000)
    for path, message in (
        (short, "at least 10,000"),
        (wrong, "must be UTF-8"),
        (tmp_path / "no.txt", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_texts(path)


def test_commands_say_what_is_done_and_print_their_tables(trained, tmp_path, capsys):
    for arguments in (["report"], ["pretrain"]):
        with pytest.raises(SystemExit) as ended:
            main(["llm", *arguments, str(trained.path)])
        assert ended.value.code == 0
    said = capsys.readouterr()
    assert "accuracy of implicit rewards" in said.out
    with pytest.raises(SystemExit) as ended:
        main(["llm", "report", str(tmp_path / "no")])
    assert ended.value.code == 3
    assert "pretrain is done; --again starts it anew" in said.err
    with pytest.raises(SystemExit) as ended:
        main(["llm", "chat", str(trained.path), "--stage", "nf4", "--say", "What is 3 plus 1?", "--seed", "1"])
    assert ended.value.code == 0
    with pytest.raises(SystemExit) as ended:
        main(["llm", "sft", str(tmp_path / "no")])
    assert ended.value.code == 3
    assert "Run: groundup llm tokenizer" in capsys.readouterr().err


def test_ctrl_c_keeps_the_last_checkpoint_and_says_how_to_go_on(run, monkeypatch, capsys):
    real, count = training.average, iter(range(10))

    def interrupted(parameters, loss):
        if next(count) == 3:
            raise KeyboardInterrupt
        return real(parameters, loss)

    monkeypatch.setattr(training, "average", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["llm", "pretrain", str(run.path)])
    assert ended.value.code == 130
    said = capsys.readouterr().err
    assert f"The checkpoint of step 2 is kept. Continue with: groundup llm pretrain {run.path}" in said
    assert load(run.path / "pretrain" / "step-00000002").step == 2


def test_the_prompt_ends_where_the_answer_begins(run):
    prompt = encode_prompt([{"role": "user", "content": instructions().train[0].question}], run.tokenizer)
    assert run.tokenizer.decode(prompt) == "<|begin|><|user|>What is 0 plus 1?<|end|><|assistant|>"


def test_two_runs_of_one_seed_are_equal(run, tmp_path):
    other = begin(tmp_path / "other")
    for each in (run, other):
        stages.pretrain(each, Options())
    assert run.need("pretrain").sha256 == other.need("pretrain").sha256


def test_other_values_than_the_presets_are_set_by_name(tmp_path, capsys):
    made = settings_of("smoke", changes={"sft_steps": "7", "tokens_per_parameter": "0.5"})
    assert (made.sft_steps, made.tokens_per_parameter, made.batch) == (7, 0.5, 16)
    with pytest.raises(ConfigError, match=r"--set must name one of depth, .*, got 'steps'"):
        settings_of("smoke", changes={"steps": "7"})
    with pytest.raises(ConfigError, match=r"--set sft_steps must be a number, got 'few'"):
        settings_of("smoke", changes={"sft_steps": "few"})
    for name, value in (("corpus", "wikipedia"), ("precision", "float16")):
        with pytest.raises(ConfigError, match=f"{name} must be one of .*, got '{value}'"):
            replace(settings_of("smoke"), **{name: value})
    with pytest.raises(SystemExit):
        main(["llm", "tokenizer", str(tmp_path / "run"), "--set", "sft_steps"])
    assert "--set must be NAME=VALUE, got 'sft_steps'" in capsys.readouterr().err


def test_a_run_that_knows_no_corpus_is_of_the_first(trained):
    document = json.loads((trained.path / "settings.json").read_text())
    assert Settings(**{name: value for name, value in document.items() if name not in ("corpus", "precision")}) == TINY


def test_bfloat16_changes_the_losses_by_rounding_alone(run, trained, tmp_path):
    other = RunFolder(tmp_path / "other")
    other.create(replace(TINY, precision="bfloat16"))
    stages.tokenizer(other, Options())
    stages.pretrain(other, Options())
    stages.sft(other, Options())
    for stage in ("pretrain", "sft"):
        half, whole = curve(other, stage), curve(trained, stage)
        assert half != whole
        assert half == pytest.approx(whole, rel=0.02)


PAGE = """# git commit

> Commit files to the repository.
> Some subcommands such as `git add` have their own documentation.
> More information: <https://git-scm.com/docs/git-commit>.

- [c]ommit staged files with a message:

`git commit {{[-m|--message]}} "{{message}}"`

- SSH-sign a commit:

`git commit {{[-S|--gpg-sign]}}`
"""


def test_a_page_of_tldr_is_read_as_text_and_as_questions():
    page = data.page_of("git commit", PAGE)
    assert page.text == (
        "# git commit\n> Commit files to the repository. Some subcommands such as `git add` have their own "
        'documentation.\n- commit staged files with a message:\n`git commit --message "{{message}}"`\n'
        "- SSH-sign a commit:\n`git commit --gpg-sign`\n"
    )
    assert [(row.question, row.answer) for row in data.questions_of(page)[1:]] == [
        ("How do I commit staged files with a message with git commit?", '`git commit --message "{{message}}"`'),
        ("How do I commit staged files with a message?", '`git commit --message "{{message}}"`'),
        ("How do I SSH-sign a commit with git commit?", "`git commit --gpg-sign`"),
    ]


def test_commands_that_judge_are_in_no_text_that_trains(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("GROUNDUP_OFFLINE", "1")
    texts, chats = data.read_texts(None, "tldr_pages"), data.read_instructions("tldr_pages")
    names = [set(re.findall(r"^# (.+)$", part, re.MULTILINE)) for part in (texts.train, texts.validation)]
    assert len(names[1]) > 20
    assert not names[0] & names[1]
    asked = [
        {row.question for row in part if row.question.startswith("What is ")} for part in (chats.train, chats.held_out)
    ]
    assert len(asked[1]) > 20
    assert not asked[0] & asked[1]
    assert "tldr_pages" in chats.label
    assert all(bool(row.chosen) == bool(row.rejected) for row in chats.train)


@pytest.mark.slow
def test_a_compiled_model_has_the_same_curve(tmp_path):
    plain, compiled = begin(tmp_path / "plain"), begin(tmp_path / "compiled")
    stages.pretrain(plain, Options())
    stages.pretrain(compiled, Options(compiled=True))
    curves = [run.need("pretrain").document["curve"] for run in (plain, compiled)]
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    assert curves[1][-1] < curves[1][0]


def test_without_a_compiler_compile_is_refused_before_anything_trains(run, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    with pytest.raises(
        ConfigError, match=r"--compile needs a C\+\+ compiler .*apt install g\+\+.* Or leave --compile out"
    ):
        stages.pretrain(run, Options(compiled=True))
    assert latest(run.path / "pretrain") is None
