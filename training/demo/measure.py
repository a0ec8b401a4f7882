"""How often a checkpoint is right: `python -m training.demo.measure FOLDER …`.

Greedy and at several temperatures, on demo questions that it was not trained on, with the engine's
own sampler. Prints one line of JSON for each folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from training.demo.problems import Problem, demo_problems


def share_right(
    model: Any, characters: Any, problems: Sequence[Problem], temperature: float, samples: int = 1
) -> float:
    """Share of right answers among `samples` completions of each problem; 0 is greedy."""
    from training.decoding.prompts import Renderer, split_completion
    from training.decoding.sampling import Sampling
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


def main() -> None:
    """Measure the folders that are named."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0, 0.3, 0.5, 0.7, 1])
    asked = parser.parse_args()
    for folder in asked.folders:
        problems = demo_problems(asked.questions)
        print(json.dumps(measure(folder, problems, asked.temperatures)), flush=True)


if __name__ == "__main__":
    main()
