"""What the papers promise, tried again from nothing on two cores. One module a claim.

`python -m benchmarks claims.cotd_po_modes` trains every arm of that claim from scratch with the
project's own methods, group forward and sampler, over several seeds, prints a table, and writes
`benchmarks/results/claim_cotd_po_modes.json` and its plot in `docs/images/claims/`. What fails is
published as it came out: docs/claims.md.
"""
