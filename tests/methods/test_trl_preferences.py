"""DPO, KTO and ORPO beside TRL's own trainers: the same loss and gradient on one frozen batch."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.engine.shapes import END, FAMILIES, VOCABULARY, make_model
from training.engine.group import collate, group_logprobs
from training.engine.plan import micro_batches
from training.engine.reference import add_reference_logprobs
from training.methods import dpo, kto, orpo
from training.methods.base import Group, MethodConfig, window_of
from training.methods.pairs import pairs_of

PLENTY = 10_000  # tokens: everything in one forward
# (prompt, completions, best first); each completion is ended by TRL, and so by us
RANKED = [
    ([5, 6, 7], [[8, 9], [10, 11, 12, 13], [9]]),
    ([5, 30], [[14, 15, 16, 17, 18], [19]]),
    ([7, 8, 9, 10, 11], [[20], [21, 22]]),
]
LABELLED = [
    ([5, 6, 7], [8, 9], True),
    ([5, 30], [14, 15, 16, 17], False),
    ([7, 8, 9, 10], [20], True),
    ([31], [21, 22, 23], False),
    ([12, 13], [24, 25], True),
]


# --- Ours -----------------------------------------------------------------------------------------


def ranked_groups(rows=RANKED, **settings: Any) -> list[Group]:
    """Groups with their pairs; the first completion is the best."""
    made = []
    for prompt, texts in rows:
        completions = [[*text, END] for text in texts]
        rewards = [float(-n) for n in range(len(texts))]
        group = Group("q", prompt, completions, [True] * len(texts), rewards)
        group.pairs = pairs_of(group, dpo.Config(**settings))
        made.append(group)
    return made


def labelled_groups(config: kto.Config) -> list[Group]:
    made = [
        Group(str(n), prompt, [[*text, END]], [True], [float(label)])
        for n, (prompt, text, label) in enumerate(LABELLED)
    ]
    kto.weigh(made, config)
    return made


def compared(groups: Sequence[Group], reference: Any) -> list[Group]:
    """With the reference's log-probabilities, as a round is given them."""
    asides = [group.aside for group in groups if group.aside]
    add_reference_logprobs(reference, [*groups, *asides], 1.0, PLENTY)
    return list(groups)


def ours(
    method: ModuleType, model: Any, groups: list[Group], config: MethodConfig, tokens: int = PLENTY
) -> tuple[float, list[torch.Tensor]]:
    """Loss and gradients of one optimizer step over forwards of so many tokens."""
    window = window_of(groups)
    asides = [group.aside for group in groups if group.aside]
    if asides:
        totals = window_of(asides)
        with torch.no_grad():
            batches = [collate(part, totals) for part in micro_batches(asides, tokens)]
            shares = [method.aside(group_logprobs(model, b), b, config) for b in batches]
        window = replace(window, aside=float(sum(shares)))
    total = 0.0
    for part in micro_batches(groups, tokens):
        batch = collate(part, window)
        loss, _ = method.objective(group_logprobs(model, batch), batch, config)
        loss.backward()
        total += loss.item()
    return total, gradients(model)


def gradients(model: Any) -> list[torch.Tensor]:
    """Of every weight, and none left behind."""
    found = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    return found


def difference(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> float:
    """Of all gradients together, relative to their size."""
    gap = sum((a - b).square().sum() for a, b in zip(left, right, strict=True))
    return float((gap / sum(a.square().sum() for a in right)).sqrt())


def near(model: Any, seed: int = 1) -> Any:
    """A start that the model has moved a little from."""
    start = deepcopy(model)
    dice = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in start.parameters():
            weight.add_(0.03 * torch.randn(weight.shape, generator=dice))
    return start.requires_grad_(False)


# --- TRL's ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer():
    """`w7` is token 7."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<bos>", "<eos>", *(f"w{n}" for n in range(3, VOCABULARY))]
    pieces = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, "<pad>"))
    pieces.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token="<eos>", pad_token="<pad>")


def written(ids: Sequence[int]) -> str:
    return "".join(f"w{n} " for n in ids)


def pair_rows(rows=RANKED) -> list[dict[str, str]]:
    """A row for every two completions of a prompt."""
    return [
        {"prompt": written(prompt), "chosen": written(texts[i]), "rejected": written(texts[j])}
        for prompt, texts in rows
        for i in range(len(texts))
        for j in range(i + 1, len(texts))
    ]


def theirs(trainer_class, config_class, model, tokenizer, rows, folder, **settings):
    """Loss and gradients of TRL's trainer on all rows as one batch."""
    from datasets import Dataset

    reference = settings.pop("ref_model", None)
    args = config_class(
        str(folder),
        per_device_train_batch_size=len(rows),
        activation_checkpointing=False,
        use_cpu=True,
        bf16=False,
        report_to=[],
        disable_tqdm=True,
        **settings,
    )
    more = {} if reference is None else {"ref_model": reference}
    trainer = trainer_class(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        **more,
    )
    (batch,) = trainer.get_train_dataloader()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), gradients(trainer.model)


def trl_dpo(model, reference, tokenizer, folder, rows=None, **settings):
    from trl import DPOConfig, DPOTrainer

    rows = rows or pair_rows()
    return theirs(
        DPOTrainer, DPOConfig, model, tokenizer, rows, folder, ref_model=reference, **settings
    )


# --- DPO ------------------------------------------------------------------------------------------

VARIANTS = [
    ({}, {}),
    ({"beta": 2.0, "length_normalised": True}, {"beta": 2.0, "loss_type": ["sigmoid_norm"]}),
    (
        {"beta": 0.5, "length_normalised": True, "loss_type": "ipo"},
        {"beta": 0.5, "loss_type": ["ipo"]},
    ),
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("settings", "their_settings"), VARIANTS)
def test_dpo_has_trls_loss_and_gradient(family, settings, their_settings, tokenizer, tmp_path):
    """TRL forwards the completions of a pair with a prompt each, ours each completion once."""
    model = make_model(family)
    reference = near(model)
    loss, slopes = ours(dpo, model, compared(ranked_groups(), reference), dpo.Config(**settings))
    their_loss, their_slopes = trl_dpo(model, reference, tokenizer, tmp_path, **their_settings)
    assert loss == pytest.approx(their_loss, rel=1e-4)
    assert difference(slopes, their_slopes) < 1e-4


def test_dpo_with_imitation_is_trls_mix_where_completions_are_equally_long(tokenizer, tmp_path):
    """TRL's term is the mean over all tokens, ours the mean of each completion's own mean."""
    rows = [([5, 6, 7], [[8, 9], [10, 11, 12]]), ([5, 30], [[14, 15], [19]])]
    model = make_model("llama")
    reference = near(model)
    groups = compared(ranked_groups(rows), reference)
    loss, slopes = ours(dpo, model, groups, dpo.Config(nll=0.7))
    mix = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.7]}
    their_loss, their_slopes = trl_dpo(
        model, reference, tokenizer, tmp_path, rows=pair_rows(rows), **mix
    )
    assert loss == pytest.approx(their_loss, rel=1e-4)
    assert difference(slopes, their_slopes) < 1e-4


def test_label_smoothing_is_conservative_dpo(tokenizer, tmp_path):
    """TRL keeps that loss under the name of aot, which for one pair is the same."""
    rows = [([5, 6, 7], [[8, 9], [10, 11, 12]])]
    model = make_model("llama")
    reference = near(model)
    groups = compared(ranked_groups(rows), reference)
    loss, slopes = ours(dpo, model, groups, dpo.Config(label_smoothing=0.2))
    their_loss, their_slopes = trl_dpo(
        model,
        reference,
        tokenizer,
        tmp_path,
        rows=pair_rows(rows),
        loss_type=["aot"],
        label_smoothing=0.2,
    )
    assert loss == pytest.approx(their_loss, rel=1e-4)
    assert difference(slopes, their_slopes) < 1e-4


# --- KTO ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [1, 2])
def test_kto_has_trls_loss_and_gradient(family, seed, tokenizer, tmp_path):
    """With one completion a question, both take the question before for the reference point."""
    from trl import KTOConfig, KTOTrainer

    model = make_model(family)
    reference = near(model, seed)
    weights = {"desirable_weight": 1.5, "undesirable_weight": 0.7}
    config = kto.Config(**weights)
    groups = compared(labelled_groups(config), reference)
    loss, slopes = ours(kto, model, groups, config)
    rows = [
        {"prompt": written(prompt), "completion": written(text), "label": label}
        for prompt, text, label in LABELLED
    ]
    their_loss, their_slopes = theirs(
        KTOTrainer, KTOConfig, model, tokenizer, rows, tmp_path, ref_model=reference, **weights
    )
    assert loss == pytest.approx(their_loss, rel=1e-4)
    assert difference(slopes, their_slopes) < 1e-4


# --- ORPO -----------------------------------------------------------------------------------------


def trl_orpo(model, tokenizer, rows, folder, beta):
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    return theirs(ORPOTrainer, ORPOConfig, model, tokenizer, pair_rows(rows), folder, beta=beta)


@pytest.mark.parametrize("family", FAMILIES)
def test_orpo_has_trls_loss_and_gradient_after_prompts_of_one_token(family, tokenizer, tmp_path):
    """There TRL's likelihood, over prompt and completion, is the completion's alone."""
    rows = [([5], [[8, 9], [10, 11, 12]]), ([30], [[14, 15], [19]])]
    model = make_model(family)
    loss, slopes = ours(orpo, model, ranked_groups(rows), orpo.Config(odds_weight=0.5))
    their_loss, their_slopes = trl_orpo(model, tokenizer, rows, tmp_path, 0.5)
    assert loss == pytest.approx(their_loss, rel=1e-4)
    assert difference(slopes, their_slopes) < 1e-4


def test_trls_orpo_learns_the_prompt_by_heart_and_ours_does_not(tokenizer, tmp_path):
    """The formula is -log p(y | x): with the odds term off, what TRL's loss has more than ours is
    the prompt's own likelihood, which teaches nothing about the answer."""
    prompt, chosen, rejected = [5, 6, 7], [8, 9], [10]
    model = make_model("llama")
    rows = [(prompt, [chosen, rejected])]
    loss, _ = ours(orpo, model, ranked_groups(rows), orpo.Config(odds_weight=0))
    their_loss, _ = trl_orpo(model, tokenizer, rows, tmp_path, 0.0)
    ids = torch.tensor([[*prompt, *chosen, END]])
    logits = model(ids).logits[0, :-1].log_softmax(-1)
    each = -logits.gather(-1, ids[0, 1:, None])[:, 0]
    answer = each[len(prompt) - 1 :]
    assert loss == pytest.approx(answer.mean().item(), rel=1e-4)
    assert their_loss == pytest.approx(each.mean().item(), rel=1e-4)
    assert abs(their_loss - loss) > 0.01


# --- However a step is split ----------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["dpo", "kto", "orpo"])
def test_no_split_into_forwards_changes_loss_or_gradient(family, name):
    method = {"dpo": dpo, "kto": kto, "orpo": orpo}[name]
    config = method.Config()
    model = make_model(family)
    groups = labelled_groups(config) if name == "kto" else ranked_groups(weigh_pairs="question")
    groups = compared(groups, near(model))
    whole, slopes = ours(method, model, groups, config)
    each, others = ours(method, model, groups[::-1], config, tokens=1)
    assert each == pytest.approx(whole, rel=1e-5)
    assert difference(others, slopes) < 1e-4
