"""Dataset versions: a recipe, what it chooses, the frozen file, its exports."""
