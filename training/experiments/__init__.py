"""The closed loop: checkpoint → samples → judgements → dataset → run → checkpoint, again and again.

`plan.py` says what may be asked for; `advance.py` moves an experiment on, one deed a call;
`steps.py` holds the deed of each stage; `routing.py` chooses what people see, `gate.py` when they
are done, `rewards.py` what their word and the others' come to, `stopping.py` when it is enough,
`figures.py` what the page shows, `deeds.py` what a person may do. docs/experiments.md has it in
words.
"""
