"""Cards: what goes with a checkpoint or a data set when it leaves, as a README.md that the Hugging
Face hub reads. `model_card(checkpoint)` is the one of a checkpoint; a version's is
`training/export/card.py`."""

from training.cards.model import model_card

__all__ = ["model_card"]
