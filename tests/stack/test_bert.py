"""`deep/bert` against transformers: the same outputs, losses and rates; and a fine-tuning by its Trainer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from groundup.stack.deep.bert import (
    Bert,
    Classifier,
    Config,
    MaskedLanguageModel,
    SpanReader,
    linear_schedule,
    load_hugging_face,
    mask_tokens,
    masked_loss,
)

transformers = pytest.importorskip("transformers")
OURS = Config(vocabulary=41, layers=3, heads=4, width=24, hidden=40, places=17, dropout=0.0, epsilon=1e-3)
THEIRS = {
    "vocab_size": 41,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "hidden_size": 24,
    "intermediate_size": 40,
    "max_position_embeddings": 17,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "layer_norm_eps": 1e-3,
}


def theirs(kind: str, **changes: Any) -> Any:
    """A small model of transformers whose every weight is random, norms and biases too."""
    torch.manual_seed(0)
    model = getattr(transformers, kind)(transformers.BertConfig(**THEIRS, **changes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, their segments, and a mask under which the second text is shorter."""
    tokens = torch.randint(41, (2, 13), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, 13, dtype=torch.bool)
    mask[1, 8:] = False
    return tokens, (torch.arange(13) > 5).long().expand(2, -1), mask


def test_a_checkpoint_gives_the_same_vectors_and_the_same_pooled_one() -> None:
    model, ours = theirs("BertModel"), Bert(OURS).eval()
    load_hugging_face(ours, model.state_dict())
    tokens, kinds, mask = inputs()
    expected = model(tokens, token_type_ids=kinds, attention_mask=mask.long())
    hidden = ours(tokens, kinds, mask)
    torch.testing.assert_close(hidden, expected.last_hidden_state, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.pool(hidden), expected.pooler_output, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours(tokens), model(tokens).last_hidden_state, rtol=1e-4, atol=1e-5)


def test_the_masked_language_model_gives_the_same_logits_loss_and_gradients() -> None:
    model, ours = theirs("BertForMaskedLM"), MaskedLanguageModel(OURS).eval()
    load_hugging_face(ours, model.state_dict())
    tokens, _, mask = inputs()
    read, chosen = mask_tokens(tokens, [0], 4, 41, np.random.default_rng(0), share=0.5)
    expected = model(read, attention_mask=mask.long(), labels=tokens.masked_fill(~chosen, -100))
    logits = ours(read, mask)
    torch.testing.assert_close(logits, expected.logits, rtol=1e-4, atol=1e-4)
    loss = masked_loss(logits, tokens, chosen)
    torch.testing.assert_close(loss, expected.loss, rtol=1e-5, atol=1e-6)
    loss.backward()
    expected.loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    twin = MaskedLanguageModel(OURS)
    load_hugging_face(twin, gradients)
    for name, parameter in ours.named_parameters():
        if "pooler" not in name:
            torch.testing.assert_close(parameter.grad, twin.get_parameter(name).detach(), rtol=1e-3, atol=1e-4)


def test_the_heads_give_the_same_scores() -> None:
    tokens, kinds, mask = inputs()
    model, classifier = theirs("BertForSequenceClassification", num_labels=3), Classifier(OURS, 3).eval()
    load_hugging_face(classifier, model.state_dict())
    given = {"token_type_ids": kinds, "attention_mask": mask.long()}
    torch.testing.assert_close(classifier(tokens, kinds, mask), model(tokens, **given).logits, rtol=1e-4, atol=1e-4)
    model, reader = theirs("BertForQuestionAnswering"), SpanReader(OURS).eval()
    load_hugging_face(reader, model.state_dict())
    expected = model(tokens, **given)
    starts, ends = reader(tokens, kinds, mask)
    torch.testing.assert_close(starts, expected.start_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ends, expected.end_logits, rtol=1e-4, atol=1e-4)


def test_a_checkpoint_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"state does not fit the model at \['blocks\.2\.attention\.key\.bias'"):
        load_hugging_face(Bert(OURS), {k: v for k, v in theirs("BertModel").state_dict().items() if ".2." not in k})
    with pytest.raises(ValueError, match="state does not fit"):
        load_hugging_face(Bert(Config(41, 3, 4, 24, 40, 18)), theirs("BertModel").state_dict())


@pytest.mark.parametrize(("warmup", "total"), [(4, 20), (0, 7), (5, 5)])
def test_the_schedule_is_that_of_transformers(warmup: int, total: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    expected = transformers.get_linear_schedule_with_warmup(optimizer, warmup, total).lr_lambdas[0]
    for step in range(total + 3):
        assert linear_schedule(step, warmup, total) == pytest.approx(expected(step))


def test_trainer_fine_tunes_distilbert_as_the_lesson_shows(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 8}
    model = transformers.DistilBertForSequenceClassification(transformers.DistilBertConfig(**sizes))
    draws = np.random.default_rng(0)
    tokens = draws.integers(10, 14, (320, 8))
    labels = draws.integers(0, 2, 320)
    tokens[np.arange(320), draws.integers(0, 8, 320)] = labels + 1  # word 1 is bad, word 2 is good
    rows = [
        {"input_ids": row, "attention_mask": np.ones(8, int), "labels": int(y)}
        for row, y in zip(tokens, labels, strict=True)
    ]

    def f1(outcome: Any) -> dict[str, float]:
        predictions = outcome.predictions.argmax(axis=-1)
        hits = int(((predictions == 1) & (outcome.label_ids == 1)).sum())
        return {"f1": 2 * hits / int((predictions == 1).sum() + (outcome.label_ids == 1).sum())}

    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=8,
        per_device_train_batch_size=16,
        learning_rate=1e-2,
        warmup_steps=13,
        weight_decay=0.01,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = transformers.Trainer(
        model=model, args=arguments, train_dataset=rows[:256], eval_dataset=rows[256:], compute_metrics=f1
    )
    trainer.train()
    assert trainer.evaluate()["eval_f1"] > 0.9
