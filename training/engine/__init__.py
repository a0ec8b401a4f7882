"""The torch core: `python -m training.engine run.json`. Knows nothing of Django."""
