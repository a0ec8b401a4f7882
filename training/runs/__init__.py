"""The life of a run: planned, launched, laid out, supervised, read back."""
