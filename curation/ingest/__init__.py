"""Import: a file becomes rows (readers), rows become drafts (shapes, mapping), drafts become
questions and rationales (load). A bad row never stops the rest; the report names it.
"""
