"""Lineage both ways: what a rationale became part of (`rationale`), and what made a checkpoint
(`checkpoint`). Both are derived from the record each time they are asked for; nothing is stored.
"""
