"""Plan (b): one CUDA machine, a random Qwen2 of the 0.5B shape, bf16, forced lengths.

    python -m benchmarks.gpu_plan_b [--rounds 9] [--out FILE]

Lengths are log-normal (median 200, at most 1024), as those of chains of thought are, and forced in
every arm, so that all do the same work. Sampling: `generate` with its growing and with its static,
compiled cache, against ours with its captured decode step. Training: the same GRPO loss over padded
rows, the prompt in each of them, log-probabilities in the same chunks (what TRL computes, without
its bookkeeping), at the best of some numbers of rows a forward, against the engine's update. TRL
itself, and Django, are not needed. Before anything is timed, both forwards are compared in fp32.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM, StoppingCriteriaList

from benchmarks._training.forced import Limits, log_normal
from benchmarks._training.padded_grpo import padded_logprobs, padded_step
from training.decoding.sampling import Sampling
from training.engine.group import collate, group_logprobs
from training.engine.plan import padded_tokens
from training.engine.ranks import Ranks
from training.engine.sampler import Draw
from training.engine.update import Update
from training.methods import grpo
from training.methods.base import Group, window_of

SHAPE = {
    "vocab_size": 151_936, "hidden_size": 896, "intermediate_size": 4864,
    "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
    "max_position_embeddings": 4096, "tie_word_embeddings": True,
}  # fmt: skip
SAMPLES = {"prompts": 8, "group": 8, "prompt_tokens": 128, "median": 200, "longest": 1024}
TIERS = (256, 1024)  # prompt tokens of the training tiers
ROWS_AT_ONCE = (8, 16, 32, 64)
TOKENS_AT_ONCE = 65_536
LOGPROBS, GRADIENT = 1e-4, 1e-3  # fp32 over 24 layers on a GPU
PAD, END = 0, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="the first is lost")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gpu_plan_b.json"))
    arguments = parser.parse_args()
    found = run(arguments)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything, as the result file has it. Exits where there is no CUDA."""
    if not torch.cuda.is_available():
        raise SystemExit(
            "gpu_plan_b needs a CUDA machine and this one has none; run it where there is one."
        )
    return measured(torch.device("cuda"), SHAPE, SAMPLES, TIERS, arguments.rounds)


def measured(
    device: torch.device,
    shape: dict[str, Any],
    sizes: dict[str, int],
    tiers: Sequence[int],
    rounds: int,
) -> dict[str, Any]:
    """The gate, the sampling arms and the training arms on one device."""
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**shape, pad_token_id=PAD, eos_token_id=END))
    model = model.float().to(device).eval()
    gaps = [gate(model, make_groups(sizes, tokens, shape["vocab_size"])[:2]) for tokens in tiers]
    trained = [row for tokens in tiers for row in training(model, sizes, tokens, shape, rounds)]
    sampled = sampling(model.bfloat16(), sizes, shape["vocab_size"], rounds)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    return {
        "machine": name,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "load_average": os.getloadavg(),
        "gate": gaps,
        "rows": trained + sampled,
    }


# --- The work -------------------------------------------------------------------------------------


def make_groups(sizes: dict[str, int], prompt_tokens: int, vocabulary: int) -> list[Group]:
    """Random prompts of about the same length, completions of forced lengths."""
    dice = random.Random(prompt_tokens)
    near = prompt_tokens // 8

    def tokens(count: int) -> list[int]:
        return [dice.randrange(3, vocabulary) for _ in range(count)]

    return [
        Group(
            question=str(place),
            prompt=tokens(prompt_tokens + dice.randint(-near, near)),
            completions=[tokens(length) for length in group_lengths(sizes, dice)],
            present=[True] * sizes["group"],
            rewards=[dice.random() for _ in range(sizes["group"])],
        )
        for place in range(sizes["prompts"])
    ]


def group_lengths(sizes: dict[str, int], dice: random.Random) -> list[int]:
    return log_normal(sizes["group"], sizes["median"], sizes["longest"], dice)


def config_of(sizes: dict[str, int], precision: str) -> grpo.Config:
    return grpo.Config(
        loss_type="dapo",
        scale_rewards="group",
        mask_truncated=False,
        learning_rate=1e-7,
        warmup=0.0,
        precision=precision,
        tokens_per_batch=TOKENS_AT_ONCE,
        max_completion_tokens=sizes["longest"],
    )


# --- The gate -------------------------------------------------------------------------------------


def gate(model: Any, groups: list[Group]) -> dict[str, float]:
    """Both forwards' log-probabilities and gradients in fp32. Exits if they differ."""
    model.requires_grad_(True)
    batch = collate(groups, window_of(groups)).to(model.device)
    found = []
    for forward in (group_logprobs, padded_logprobs):
        logprobs = forward(model, batch, 1.0).completion
        (logprobs * batch.mask).sum().backward()
        grads = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        found.append((logprobs.detach(), grads.double().cpu()))
        model.zero_grad(set_to_none=True)
    (ours, mine), (theirs, other) = found
    gaps = {
        "logprob_gap": float(((ours - theirs) * batch.mask).abs().max()),
        "gradient_gap": float((mine - other).norm() / other.norm()),
    }
    if gaps["logprob_gap"] > LOGPROBS or gaps["gradient_gap"] > GRADIENT:
        raise SystemExit(f"The two forwards differ ({gaps}); nothing is timed.")
    return gaps


# --- Training -------------------------------------------------------------------------------------


def training(
    model: Any, sizes: dict[str, int], prompt_tokens: int, shape: dict[str, Any], rounds: int
) -> list[dict[str, Any]]:
    """One tier: the rival at its best number of rows, then by turns."""
    groups = make_groups(sizes, prompt_tokens, shape["vocab_size"])
    config = config_of(sizes, "bf16")
    grpo.weigh(groups, config)
    update = Update(twin(model), grpo, config, Ranks())
    rival = twin(model)
    optimizer = torch.optim.AdamW(rival.parameters(), lr=1e-7, weight_decay=0.0)

    def padded(rows: int) -> Callable[[], Any]:
        at_once = max(1, rows // sizes["group"])
        return lambda: padded_step(rival, optimizer, groups, config, at_once)

    tried = {rows: fits_in(padded(rows)) for rows in ROWS_AT_ONCE}
    best = min(tried, key=tried.__getitem__)
    if tried[best] == float("inf"):
        raise SystemExit("The padded rows do not fit into memory even a group at a time.")
    seconds, peaks = by_turns(lambda: update.step(groups, 1e-7), padded(best), rounds)
    counted = {
        "trained_tokens": sum(len(ids) for group in groups for ids in group.completions),
        "group_tokens": padded_tokens(groups),
        "padded_tokens": len(groups)
        * sizes["group"]
        * (max(len(g.prompt) for g in groups) + sizes["longest"]),
    }
    return [
        row_of("grpo", sizes, prompt_tokens, seconds, peaks)
        | {"rival": f"padded rows, {best} a forward, same chunked log-probabilities"}
        | counted
    ]


def twin(model: Any) -> Any:
    copy = type(model)(model.config).to(model.device, model.dtype).eval()
    copy.load_state_dict(model.state_dict())
    return copy


def fits_in(step: Callable[[], Any]) -> float:
    """Seconds of a second call, or infinity where memory runs out."""
    try:
        step()
        return timed(step)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return float("inf")


# --- Sampling -------------------------------------------------------------------------------------


def sampling(
    model: Any, sizes: dict[str, int], vocabulary: int, rounds: int
) -> list[dict[str, Any]]:
    """Ours against `generate` with either cache, all to the same lengths."""
    groups = make_groups(sizes, sizes["prompt_tokens"], vocabulary)
    limits = [len(ids) for group in groups for ids in group.completions]
    rows = []
    for cache in (None, "static"):
        rival = generating(model, groups, limits, cache)
        ours = drawing(model, groups, limits, sizes)
        seconds, peaks = by_turns(ours, rival, rounds)
        rows.append(
            row_of("sampler", sizes, sizes["prompt_tokens"], seconds, peaks)
            | {
                "rival": f"generate, {'static, compiled' if cache else 'dynamic'} cache",
                "generated_tokens": sum(limits),
                "tokens_per_second": round(sum(limits) / median(seconds[0][1:])),
            }
        )
    return rows


def drawing(
    model: Any, groups: list[Group], limits: list[int], sizes: dict[str, int]
) -> Callable[[], Any]:
    prompts = [group.prompt for group in groups]
    seeds = [[100 * b + n for n in range(sizes["group"])] for b in range(len(groups))]
    settings = Sampling(max_new_tokens=sizes["longest"])

    def draw() -> None:
        one = Draw(model, prompts, seeds, settings, [], slots=0, static=None)
        one.limits = torch.tensor(limits, device=one.device)
        one.run()

    return draw


def generating(
    model: Any, groups: list[Group], limits: list[int], cache: str | None
) -> Callable[[], Any]:
    rows = [group.prompt for group in groups for _ in group.completions]
    width = max(map(len, rows))
    ids = torch.tensor([[PAD] * (width - len(row)) + row for row in rows], device=model.device)
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=model.device)
    settings = GenerationConfig(
        max_new_tokens=max(limits),
        do_sample=True,
        top_k=0,
        pad_token_id=PAD,
        cache_implementation=cache,
    )
    model.generation_config.eos_token_id = None

    def generate() -> None:
        ends = StoppingCriteriaList([Limits(width, limits)])
        model.generate(ids, attention_mask=mask, generation_config=settings, stopping_criteria=ends)

    return torch.no_grad()(generate)


# --- The clock ------------------------------------------------------------------------------------


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(work: Callable[[], Any]) -> float:
    synchronize()
    began = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - began


def by_turns(
    ours: Callable[[], Any], rival: Callable[[], Any], rounds: int
) -> tuple[tuple[list[float], list[float]], tuple[float, float]]:
    """Seconds of each round, and the peak of memory in GB, of both arms."""
    seconds: tuple[list[float], list[float]] = ([], [])
    peaks = [0.0, 0.0]
    for _ in range(rounds):
        for place, arm in ((1, rival), (0, ours)):
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            seconds[place].append(timed(arm))
            if torch.cuda.is_available():
                peaks[place] = torch.cuda.max_memory_allocated() / 1e9
    return seconds, (peaks[0], peaks[1])


def row_of(
    method: str,
    sizes: dict[str, int],
    prompt_tokens: int,
    seconds: tuple[list[float], list[float]],
    peaks: tuple[float, float],
) -> dict[str, Any]:
    ours, rival = seconds[0][1:], seconds[1][1:]
    ratios = sorted(theirs / mine for mine, theirs in zip(ours, rival, strict=True))
    return {
        "method": method,
        "prompt_tokens": prompt_tokens,
        "completion_tokens": sizes["median"],
        "group": sizes["group"],
        "ratio_median": round(median(ratios), 3),
        "ratio_low": round(ratios[len(ratios) // 4], 3),
        "ratio_high": round(ratios[-1 - len(ratios) // 4], 3),
        "seconds": round(median(ours), 4),
        "rival_seconds": round(median(rival), 4),
        "peak_gb": round(peaks[0], 2),
        "rival_peak_gb": round(peaks[1], 2),
    }


if __name__ == "__main__":
    main()
