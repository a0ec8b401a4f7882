"""What the training benchmarks share: a model, batches, the rivals, the gate, the alternation.

The rules are those of docs/benchmarks.md: the same weights, prompts, completions and rewards go
through both arms of one process by turns; nothing is timed before both have been seen to compute
the same log-probabilities, loss and gradient; every row says what was counted and how busy the
machine was.
"""
