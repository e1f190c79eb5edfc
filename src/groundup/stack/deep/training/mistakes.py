# pyright: basic
"""Ways to get training wrong, and right ways that differ."""

import torch

from groundup.anatomy import mistake, variant
from groundup.stack.deep.training.training import Score, _check_count, _device, _mean_loss


@mistake("Images.__getitem__", edit=("(image[None] - self.mean) / self.std", "image[None] / self.std - self.mean"))
def divides_first():
    """You divide by the std before the mean is off. Subtract first: the mean is one of pixels."""


@mistake("Images.__getitem__", edit=("(image[None] - self.mean)", "(image - self.mean)"))
def forgets_the_channel():
    """Your image has no axis for channels. A grey image has one, in front."""


@mistake("Images.__getitem__", edit=("int(self.labels[index])", "self.labels[index]"))
def hands_numpys_label_out():
    """Your label is a number of NumPy's type, bytes perhaps. A Python int becomes int64 in a batch."""


@mistake("pick_device", edit=("next(kind for kind in there if there[kind])", '"cuda" if there["cuda"] else "cpu"'))
def knows_two_devices():
    """You overlook mps, the device of Apple's chips: it comes after cuda and before cpu."""


@mistake(
    "pick_device",
    edit=(
        "name = next(kind for kind in there if there[kind])\n    device = _device(name)",
        "pass\n    device = _device(next(kind for kind in there if there[kind]))",
    ),
)
def overrules_the_name():
    """You take the best device whatever was asked for. Only "auto" leaves you the choice."""


@mistake("pick_device")
def falls_back(name="auto"):
    """You take the cpu where the device that was named is missing. Refuse: a silent fall-back costs days."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in there if there[kind])
    device = _device(name)
    return device if there.get(device.type, False) else torch.device("cpu")


@mistake("train_epoch", edit=("        optimizer.zero_grad()\n", ""))
def adds_gradients_up():
    """You never forget gradients: `backward` adds, so each batch steps along those of all before it as well."""


@mistake(
    "train_epoch",
    edit=(
        "        optimizer.zero_grad()\n        loss.backward()\n",
        "        loss.backward()\n        optimizer.zero_grad()\n",
    ),
)
def forgets_before_the_step():
    """You forget gradients between backward and step, so nothing is left to step along."""


@mistake(
    "train_epoch",
    edit=(
        "loss.detach() * len(labels)  # no .item(): the host would wait\n        count += len(labels)",
        "loss.detach()\n        count += 1",
    ),
)
def averages_over_batches():
    """You average the losses of batches. A last batch of one example then weighs as much as a whole one."""


@mistake("train_epoch", edit=("    model.train()\n", ""))
def trains_in_any_mode():
    """You leave the mode as it is. After `evaluate` of others, dropout and batch norm would sleep while you train."""


@mistake("evaluate", edit=("    model.eval()\n", ""))
def judges_in_training_mode():
    """You judge with dropout at work, and batch norm learns from the data that judges. Call `model.eval()`."""


@mistake("evaluate", edit=("    model.train(mode)\n", ""))
def leaves_the_model_asleep():
    """You leave the model in evaluation mode. Bring back the mode in which it came."""


@mistake("evaluate", edit=("with torch.no_grad():", "with torch.enable_grad():"))
def records_a_graph():
    """You record a graph that nobody will use: it costs memory for every activation. Judge under `torch.no_grad()`."""


@mistake("EarlyStopping.update", edit=("value.clone()", "value"))
def keeps_live_weights():
    """You keep the tensors of the model itself: the next step changes them. Clone them."""


@mistake("EarlyStopping.update", edit=("self.best, self.waited = loss, 0", "self.best = loss"))
def never_begins_anew():
    """You count all epochs that were not better. A new best sets the waiting back to 0."""


@mistake("EarlyStopping.update", edit=("loss < self.best - self.least", "not loss > self.best - self.least"))
def takes_an_equal_loss():
    """You take an equal loss for a new best, and one that is no number too. Better is strictly below."""


@mistake(
    "save_checkpoint",
    edit=(
        '        "shuffle": None if shuffle is None else shuffle.get_state(),\n        "cuda"',
        '        "shuffle": None if shuffle is None else torch.Generator().get_state(),\n        "cuda"',
    ),
)
def shuffles_anew():
    """You do not save the loader's generator: after a resume the examples come in another order."""


@mistake("save_checkpoint", edit=('"chance": torch.get_rng_state()', '"chance": torch.Generator().get_state()'))
def forgets_chance():
    """You do not save PyTorch's own generator: dropout then draws other masks after a resume."""


@mistake("save_checkpoint", edit=("            os.fsync(file.fileno())\n", ""))
def trusts_the_cache():
    """You rename a file whose bytes may still be in memory: after a power cut the name is there without them."""


@mistake("save_checkpoint", edit=('half = path.with_name(f".{path.name}.half")', "half = path"))
def writes_over_the_last():
    """You write to the name itself: a process killed in the middle leaves no checkpoint at all."""


@variant("Images.__getitem__")
def by_numpy(self, index):
    """Arithmetic in NumPy, then a tensor of the result."""
    image = self.pixels[index].astype("float32") / 255
    return torch.from_numpy((image - self.mean) / self.std).float().unsqueeze(0), self.labels[index].item()


@variant("train_epoch")
def with_floats(model, batches, loss_function, optimizer, device):
    """Gradients are forgotten first, and losses added as floats."""
    model.train(True)
    total = count = 0
    for batch in batches:
        x, y = (part.to(device, non_blocking=True) for part in batch)
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        total, count = total + loss.item() * y.shape[0], count + y.shape[0]
    return _mean_loss(total, count)


@variant("evaluate")
def under_inference_mode(model, batches, loss_function, device):
    """`torch.inference_mode`, and the mode brought back whatever happens."""
    before, losses, hits = model.training, [], []
    model.train(False)
    try:
        with torch.inference_mode():
            for x, y in batches:
                x, y = x.to(device), y.to(device)
                logits = model(x)
                losses += [loss_function(logits, y).item()] * len(y)
                hits += (logits.max(dim=1).indices == y).tolist()
    finally:
        model.train(before)
    _check_count(len(hits))
    return Score(sum(losses) / len(losses), sum(hits) / len(hits))


@variant("EarlyStopping.update")
def by_deepcopy(self, loss, model):
    """A copy of the whole state."""
    from copy import deepcopy

    if not loss < self.best - self.least:
        self.waited = self.waited + 1
        return False
    self.best, self.waited, self.weights = loss, 0, deepcopy(dict(model.state_dict()))
    return True


@variant("save_checkpoint")
def by_a_temporary_file(path, training):
    """A name of its own for each save, in the same folder."""
    import os
    import tempfile
    from pathlib import Path

    state = {name: getattr(training, name).state_dict() for name in ("model", "optimizer")}
    state["schedule"] = training.schedule.state_dict() if training.schedule else None
    state["stopping"] = {name: getattr(training.stopping, name) for name in ("best", "waited", "weights")}
    state["history"] = list(training.history)
    state["chance"], state["cuda"] = torch.random.get_rng_state(), torch.cuda.get_rng_state_all()
    state["shuffle"] = training.batches.generator.get_state() if training.batches.generator else None
    number, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(number)
        Path(name).replace(path)
    except BaseException:
        os.unlink(name)
        raise
