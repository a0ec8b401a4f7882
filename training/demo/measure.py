"""How often a checkpoint is right: `python -m training.demo.measure FOLDER …`.

Greedy and at several temperatures, on demo questions that it was not trained on, with the engine's
own sampler. With `--judge`: how often a judge gives the right one of its four ratings, greedily, to
rationales of all habits, and how often it puts a right answer above a wrong one to the same
question (a tie counts one half). Prints one line of JSON for each folder.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from time import monotonic
from typing import Any

from training.decoding.prompts import Renderer, split_completion
from training.decoding.sampling import Sampling
from training.decoding.verdicts import Said, read
from training.demo.judgements import PLAN, RATINGS, Example, example
from training.demo.problems import Problem, demo_problems


def share_right(
    model: Any, characters: Any, problems: Sequence[Problem], temperature: float, samples: int = 1
) -> float:
    """Share of right answers among `samples` completions of each problem; 0 is greedy."""
    from training.engine.sampler import draw

    text = Renderer(characters)
    prompts = [text.prompt(problem.question) for problem in problems]
    seeds = [[place * samples + n for n in range(samples)] for place in range(len(problems))]
    settings = Sampling(temperature=temperature, max_new_tokens=128)
    drawn = draw(model, prompts, seeds, settings, [text.end])
    right = [
        split_completion(text.text(one.token_ids))[1] == str(problem.answer)
        for problem, group in zip(problems, drawn, strict=True)
        for one in group
    ]
    return sum(right) / len(right)


def measure(folder: Path, problems: Sequence[Problem], temperatures: Sequence[float]) -> dict:
    """The shares by temperature (four samples each; one where it is greedy), and the seconds."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    characters = AutoTokenizer.from_pretrained(folder)
    began = monotonic()
    shares = {
        str(temperature): round(
            share_right(model, characters, problems, temperature, 4 if temperature else 1), 3
        )
        for temperature in temperatures
    }
    return {"folder": str(folder), "right": shares, "seconds": round(monotonic() - began, 1)}


def measure_judge(folder: Path, problems: Sequence[Problem]) -> dict[str, Any]:
    """The share of right ratings and of pairs in the right order; replies without a verdict."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from training.engine.sampler import draw

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    text = Renderer(AutoTokenizer.from_pretrained(folder))
    rng = random.Random("measure a judge")
    asked = [example(problem, rng) for problem in problems for _ in range(2)]
    settings = PLAN.sampling()
    prompts = [text.prompt(one.asked) for one in asked]
    began = monotonic()
    drawn = draw(model, prompts, [[n] for n in range(len(asked))], settings, [text.end])
    said = [read(PLAN, text.text(group[0].token_ids)) for group in drawn]
    ratings = [one.rating if isinstance(one, Said) else None for one in said]
    right = [one.rating == rating for one, rating in zip(asked, ratings, strict=True)]
    common = Counter(one.rating for one in asked).most_common(1)[0][1] / len(asked)
    return {
        "folder": str(folder),
        "rationales": len(asked),
        "right": round(sum(right) / len(right), 3),
        "by_rating": {
            str(rating): round(fmean(r for one, r in zip(asked, right, strict=True)
                                     if one.rating == rating), 3)
            for rating in RATINGS
        },
        "always_the_commonest": round(common, 3),
        "in_order": round(in_order(asked, ratings), 3),
        "without_verdict": sum(rating is None for rating in ratings),
        "seconds": round(monotonic() - began, 1),
    }  # fmt: skip


def in_order(asked: Sequence[Example], ratings: Sequence[int | None]) -> float:
    """Of the two rationales of a question that differ, the share rated in the right order."""
    won = []
    for n in range(0, len(asked), 2):
        true = asked[n].rating - asked[n + 1].rating
        first, second = ratings[n], ratings[n + 1]
        if true and first is not None and second is not None:
            won.append(0.5 if first == second else float((first - second) * true > 0))
    return fmean(won) if won else 0.5


def main() -> None:
    """Measure the folders that are named."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0, 0.3, 0.5, 0.7, 1])
    parser.add_argument("--judge", action="store_true")
    asked = parser.parse_args()
    problems = demo_problems(asked.questions)
    for folder in asked.folders:
        found = (
            measure_judge(folder, problems)
            if asked.judge
            else measure(folder, problems, asked.temperatures)
        )
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
