"""The rival for CoTD-PO: the same loss as a `Trainer` subclass with one padded row a completion.

As a competent person writes it without an engine for groups: rows `[prompt, completion, padding]`,
one forward of `groups · N` rows, log-probabilities of the completions, the listwise cross-entropy
over each group, the thought's likelihood from the group's first row. Log-probabilities that the
round recorded come with the batch, so that the drift costs no forward of its own. Either the head
reads every position, as `model(...)` does, or only those that the loss needs (`head_on_all`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Trainer, TrainingArguments

from benchmarks._training.trl_grpo import quiet
from training.methods.base import Group


@dataclass
class Collator:
    """Groups to padded rows, group by group."""

    def __call__(self, groups: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        made = [row["group"] for row in groups]
        rows = [(group, ids, n) for group in made for n, ids in enumerate(group.completions)]
        lengths = torch.tensor([[len(g.prompt), len(ids)] for g, ids, _ in rows])
        ids = padded([torch.tensor([*g.prompt, *ids]) for g, ids, _ in rows])
        thoughts = torch.tensor([g.scored_from or 0 for g, _, _ in rows])
        columns = torch.arange(ids.shape[1])
        prompt, whole = lengths[:, :1], lengths.sum(1, keepdim=True)
        old = [torch.tensor((g.old_logprobs or [])[n]) for g, _, n in rows]
        return {
            "input_ids": ids,
            "attention_mask": (columns < whole).long(),
            "completion_mask": (columns >= prompt) & (columns < whole),
            "thought_mask": (columns >= thoughts[:, None]) & (columns < prompt),
            "targets": torch.tensor([group.weights for group in made]),
            "old": padded(old),
        }


def padded(rows: Sequence[Tensor]) -> Tensor:
    """`[rows, longest]`, zeros on the right."""
    return pad_sequence(list(rows), batch_first=True)


class PaddedCotdPo(Trainer):
    """CoTD-PO with length-mean scores and an imitation weight of 1."""

    head_on_all = True

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Mean over the groups of the micro-batch."""
        targets = inputs["targets"]  # [B, N]
        completion, thought = inputs["completion_mask"][:, 1:], inputs["thought_mask"][:, 1:]
        logprobs = self.token_logprobs(model, inputs, completion | thought)  # [rows, L - 1]
        means = (logprobs * completion).sum(-1) / completion.sum(-1)  # [rows]
        logq = means.view(targets.shape).log_softmax(-1)
        listwise = -(targets * logq).sum(-1)  # [B]
        first = slice(None, None, targets.shape[1])
        nll = -(logprobs * thought)[first].sum(-1) / thought[first].sum(-1)
        self.note(logprobs, completion, inputs["old"], targets, listwise, nll)
        return (listwise + nll).mean()

    def token_logprobs(self, model: Any, inputs: dict[str, Tensor], wanted: Tensor) -> Tensor:
        """`[rows, L - 1]`: log-probability of each next token, 0 where it is not wanted."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        if self.head_on_all:
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
            found = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
            return found.masked_fill(~wanted, 0.0)
        hidden = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
        states = hidden.last_hidden_state[:, :-1][wanted]
        logits = model.get_output_embeddings()(states)
        found = logits.log_softmax(-1).gather(-1, ids[:, 1:][wanted][:, None])[:, 0]
        return found.new_zeros(wanted.shape).masked_scatter(wanted, found)

    @torch.no_grad()
    def note(
        self,
        logprobs: Tensor,
        completion: Tensor,
        old: Tensor,
        targets: Tensor,
        listwise: Tensor,
        nll: Tensor,
    ) -> None:
        """The metrics that ours logs: both parts, both sides' means, drift, effective samples."""
        known = padded([row[here] for row, here in zip(logprobs, completion, strict=True)])
        lengths = completion.sum(-1)
        change = (known - old).sum(-1)
        ratio = change.view(targets.shape).softmax(-1)
        high = targets * targets.shape[1] > 1
        means = (known.sum(-1) / lengths).view(targets.shape)
        self.noted = {
            "listwise": float(listwise.mean()),
            "nll": float(nll.mean()),
            "drift": float((change / lengths).mean()),
            "effective_samples": float((1 / ratio.square().sum(-1) / targets.shape[1]).mean()),
            "logprob_high": float(means[high].mean()),
            "logprob_low": float(means[~high].mean()),
        }


def make_trainer(
    folder: Path,
    model: Any,
    groups: Sequence[Group],
    steps: int,
    groups_at_once: int,
    head_on_all: bool,
) -> PaddedCotdPo:
    """One optimizer step on all the groups, which must be weighed, `steps` times over."""
    settings = TrainingArguments(
        output_dir=str(folder),
        use_cpu=not torch.cuda.is_available(),
        learning_rate=1e-7,
        lr_scheduler_type="constant",
        max_grad_norm=1.0,
        max_steps=steps,
        per_device_train_batch_size=groups_at_once,
        gradient_accumulation_steps=len(groups) // groups_at_once,
        remove_unused_columns=False,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=0,
    )
    rows: Any = [{"group": group} for group in groups]
    trainer = PaddedCotdPo(model=model, args=settings, train_dataset=rows, data_collator=Collator())
    trainer.head_on_all = head_on_all
    return quiet(trainer)
