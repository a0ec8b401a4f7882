"""How text is asked for and read: prompts, sampling settings, the records of the seam."""
