"""What curation tells others without knowing them.

`rationales_stored`: rationales were written; `project`, `rationale_ids`, `batch` (the uuid of the
run or import that wrote them).
"""

from django.dispatch import Signal

rationales_stored = Signal()
