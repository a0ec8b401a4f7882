"""What curation tells the world; it does not know who listens."""

from django.dispatch import Signal

# Sent after a commit that stored rationales. Arguments: project, rationale_ids (list of int),
# batch (the uuid of the import that wrote them). Training connects automatic scoring to it.
rationales_stored = Signal()
