"""Reasoning as text: rendered safely, cut into steps, compared."""
