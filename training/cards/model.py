"""The model card: README.md of a checkpoint, in the words of the record.

Everything in it is derived: method and settings from the run, data and judges from the lineage,
figures from the evaluations. People are counted and never named. The front matter is what
`huggingface_hub.ModelCard` parses; JSON is YAML, so each value of it is written as JSON.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from curation.models import Figure, LanguageModel, Measure, Project, Window
from training.export.card import coded, table
from training.lineage.checkpoint import CheckpointLineage, lineage_of
from training.methods import method as find_method
from training.models import Checkpoint, Evaluation, Run
from training.reports.comparison import MEASURES, cell

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
SHORT = 12  # digits of a hash that a table shows
AGREEMENT = (Measure.TAU, Measure.ALPHA_RANK, Measure.ALPHA_ACCEPT, Measure.W)
LOADING = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForCausalLM.from_pretrained(FOLDER)
```"""


def model_card(checkpoint: Checkpoint) -> str:
    """The whole README.md of a checkpoint."""
    lineage = lineage_of(checkpoint)
    return f"---\n{front_matter(checkpoint, lineage)}---\n\n{body(checkpoint, lineage)}"


def without_front_matter(card: str) -> str:
    """What a page shows: from the first paragraph, for the page has the heading."""
    return card.split("\n---\n\n", 1)[1].split("\n\n", 1)[1]


def front_matter(checkpoint: Checkpoint, lineage: CheckpointLineage) -> str:
    """YAML of licence, base model, tags and results."""
    run = lineage.generations[0]
    entries: dict[str, Any] = {
        **_licence(lineage),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["stillroom", "chain-of-thought", run.method],
        **_base_model(lineage),
        **_results(checkpoint),
    }
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in entries.items())


def _licence(lineage: CheckpointLineage) -> dict[str, str]:
    """The one licence of base, teachers and sources; “other” where they differ or one is open."""
    named = {entry.licence.lower() for entry in lineage.licences}
    if len(named) == 1 and "" not in named:
        return {"license": named.pop()}
    return {"license": "other", "license_name": "mixed-see-card"}


def _base_model(lineage: CheckpointLineage) -> dict[str, str]:
    """Only a name that the hub could know."""
    base = LanguageModel.objects.filter(pk=lineage.base.id).first() if lineage.base else None
    known = base is not None and HUB_NAME.fullmatch(base.name)
    return {"base_model": base.name} if base is not None and known else {}


def _results(checkpoint: Checkpoint) -> dict[str, Any]:
    """Accuracies in the hub's own form."""
    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {
                "name": f"{evaluation.split} questions of {checkpoint.run.project.name}",
                "type": checkpoint.run.project.slug,
                "split": evaluation.split,
            },
            "metrics": [{"type": "accuracy", "value": evaluation.summary["accuracy"]}],
        }
        for evaluation in evaluations_of(checkpoint)
        if evaluation.summary.get("accuracy") is not None
    ]
    if not results:
        return {}
    return {"model-index": [{"name": str(checkpoint.model), "results": results}]}


def evaluations_of(checkpoint: Checkpoint) -> list[Evaluation]:
    """The newest of each split."""
    newest: dict[str, Evaluation] = {}
    for evaluation in Evaluation.objects.filter(model=checkpoint.model_id).order_by("-pk"):
        newest.setdefault(evaluation.split, evaluation)
    return [newest[split] for split in sorted(newest)]


def body(checkpoint: Checkpoint, lineage: CheckpointLineage) -> str:
    """What a person reads, as Markdown."""
    run = checkpoint.run
    sections = [
        (f"# {checkpoint.model}", summary(checkpoint, lineage)),
        ("## Use", f"{LOADING}\n\n{asked_as(run)}"),
        ("## Method", method_words(run)),
        ("## Settings that are not the defaults", settings_table(run)),
        ("## Data", data(lineage)),
        ("## Who judged", judged(lineage, run.project)),
        ("## Evaluation", evaluation_words(checkpoint)),
        ("## Where it comes from", descent_words(lineage)),
        ("## Licences", licences(lineage)),
        ("## Intended use and limits", limits(checkpoint, lineage)),
        ("## How to reproduce it", reproduce(checkpoint, lineage)),
    ]
    return "\n\n".join(f"{heading}\n\n{text}" for heading, text in sections) + "\n"


def summary(checkpoint: Checkpoint, lineage: CheckpointLineage) -> str:
    """One paragraph, and what tells this file from another."""
    base = lineage.base.name if lineage.base else "an unnamed model"
    first = lineage.generations[0]
    version = first.version
    learnt = (
        f"{version.rationales:,} rationales of {version.questions:,} questions" if version else ""
    )
    trainings = len(lineage.generations)
    times = "in one training" if trainings == 1 else f"in {trainings} trainings, one upon another"
    return (
        f"A language model that answers with its reasoning: `{base}`, trained {times}. The last, "
        f"by {find_method(first.method).TITLE}, learnt from {learnt}. Made with Stillroom in the "
        f"project “{checkpoint.run.project.name}”.\n\nsha256 of the weights: `{checkpoint.sha256}`"
    )


def asked_as(run: Run) -> str:
    """How a prompt has to look, for it to answer as it was trained to."""
    return (
        "Ask it as it was trained: with a chat template, the question as a user's turn followed "
        "by an empty line and “Reason step by step, one step a line, and end with a line '#### ' "
        "followed by the answer.”; without one, the bare question and a line break. The answer "
        "stands behind the last `####`."
    )


def method_words(run: Run) -> str:
    """The method's title, its formula as the code states it, and its page."""
    module = find_method(run.method)
    told = (module.__doc__ or "").strip()
    formula = "\n".join(re.findall(r"(?:^    .*\n?(?:^\n)*)+", told, re.MULTILINE)[:1]).rstrip()
    block = f"\n\n```text\n{formula}\n```" if formula else ""
    page = f"docs/methods/{run.method}.md"
    return f"{told.splitlines()[0]}{block}\n\nFormula, settings and sources: `{page}` of Stillroom."


def changed_settings(run: Run) -> dict[str, Any]:
    """The settings of a run that are not its method's defaults."""
    fields = find_method(run.method).Config.model_fields
    return {
        name: value
        for name, value in run.config.items()
        if name in fields and value != _plain(fields[name].get_default(call_default_factory=True))
    }


def _plain(value: Any) -> Any:
    """A default as the stored config has it."""
    return json.loads(json.dumps(value, default=str))


def settings_table(run: Run) -> str:
    rows = [*coded(changed_settings(run)), ("seed", f"`{run.seed}`")]
    return table(("Setting", "Value"), rows)


def data(lineage: CheckpointLineage) -> str:
    """The versions with their hashes, who wrote what is in them, and whose questions they are."""
    versions = [
        (
            f"v{one.number} {one.name}".strip(),
            one.selection,
            f"{one.questions:,}",
            f"{one.rationales:,}",
            f"`{one.sha256}`",
        )
        for one in lineage.versions
    ]
    writers = [
        (one.model.name, one.role, f"{one.rationales:,}", one.model.licence or "not noted")
        for one in lineage.writers
    ]
    by_people = sum(person.wrote + person.corrected for person in lineage.people)
    if by_people:
        count = sum(bool(person.wrote or person.corrected) for person in lineage.people)
        writers.append(
            (f"{count} {'person' if count == 1 else 'people'}", "human", f"{by_people:,}", "")
        )
    sources = [
        (source.name or "no named source", f"{source.questions:,}", source.licence or "not noted")
        for source in lineage.sources
    ]
    prompts = (
        f"Models were asked with {lineage.prompts_total} prompt"
        f"{'' if lineage.prompts_total == 1 else 's'}, counted without the question's own text: "
        + ", ".join(f"`{one.sha256[:SHORT]}`" for one in lineage.prompts[:10])
        if lineage.prompts
        else "The prompts behind the rationales were not stored, as is so with imported ones."
    )
    return "\n\n".join(
        [
            table(("Version", "Selection", "Questions", "Rationales", "sha256"), versions),
            "The training parts of these versions hold, each rationale once:",
            table(("Written by", "As", "Rationales", "Licence"), writers),
            table(("Questions from", "Questions", "Licence"), sources),
            prompts + ".",
        ]
    )


def judged(lineage: CheckpointLineage, project: Project) -> str:
    """How many people and models, how often, and how far people agreed."""
    people = lineage.people
    counts = [
        ("ranked", sum(bool(one.ranked) for one in people), sum(one.ranked for one in people)),
        (
            "accepted or rejected",
            sum(bool(one.accepted or one.rejected) for one in people),
            sum(one.accepted + one.rejected for one in people),
        ),
        (
            "corrected",
            sum(bool(one.corrected) for one in people),
            sum(one.corrected for one in people),
        ),
        (
            "decided between the others",
            sum(bool(one.adjudicated) for one in people),
            sum(one.adjudicated for one in people),
        ),
    ]
    rows = [(what, f"{n:,}", f"{times:,}") for what, n, times in counts if n]
    judges = [
        (one.model.name, f"{one.rankings:,}", f"{sum(one.scores.values()):,}")
        for one in lineage.judges
    ]
    parts = [
        table(("People who", "Number", "Times"), rows) if rows else "No person judged these data.",
        table(("Judge model", "Rankings", "Ratings and scores"), judges) if judges else "",
        agreement(project),
    ]
    return "\n\n".join(part for part in parts if part)


def agreement(project: Project) -> str:
    """The project's figures of agreement, where they have been measured."""
    found = Figure.objects.filter(
        project=project, queue=None, window=Window.ALL, person=None, other=None, model=None,
        week=None, measure__in=AGREEMENT, value__isnull=False,
    )  # fmt: skip
    rows = [
        (
            one.get_measure_display(),
            f"{one.value:.2f}",
            _bounds(one.low, one.high),
            f"{one.items:,}",
        )
        for one in found.order_by("measure")
    ]
    if not rows:
        return ""
    head = ("Agreement in the project", "Value", "95 % interval", "Questions")
    return table(head, rows)


def evaluation_words(checkpoint: Checkpoint) -> str:
    """Every figure with its interval, a table a split."""
    tables = [_evaluation(one) for one in evaluations_of(checkpoint)]
    return "\n\n".join(tables) or "Nobody has evaluated this checkpoint yet."


def _evaluation(evaluation: Evaluation) -> str:
    rows = []
    for measure in MEASURES:
        found = cell(measure, evaluation.summary)
        if found.value is not None:
            rows.append((measure.title, f"{found.value:.3f}", _bounds(found.low, found.high)))
    words = (
        f"Questions of the {evaluation.split} split: {evaluation.questions:,} "
        f"(sha256 of their ids: `{evaluation.questions_sha256[:SHORT]}`)."
    )
    return f"{words}\n\n{table(('Measure', 'Value', '95 % interval'), rows)}"


def _bounds(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def descent_words(lineage: CheckpointLineage) -> str:
    """From the base model to this checkpoint, a row a training."""
    rows = [
        (
            one.begun_from.name if one.begun_from else "",
            one.method,
            f"v{one.version.number}" if one.version else "",
            one.model.name,
            f"`{one.sha256[:SHORT]}`",
        )
        for one in reversed(lineage.generations)
    ]
    return table(("From", "Method", "Version", "To", "sha256"), rows)


def licences(lineage: CheckpointLineage) -> str:
    """Of the base model, of whoever wrote, and of the questions."""
    rows = [(entry.licence or "not noted", ", ".join(entry.what)) for entry in lineage.licences]
    return (
        f"{table(('Licence', 'Of'), rows)}\n\n"
        "Whoever passes this model on has to heed all of them; “not noted” means: find out."
    )


def limits(checkpoint: Checkpoint, lineage: CheckpointLineage) -> str:
    """What the record supports, and what it does not."""
    sources = ", ".join(source.name for source in lineage.sources if source.name) or "the project"
    found = [
        f"Meant for research on reasoning, on questions like those of {sources}.",
        "A chain of thought that reads well may still be wrong, and need not be how the model "
        "came to its answer. Check what matters.",
        "It was not tested for safety, and is not for decisions about people.",
    ]
    evaluations = evaluations_of(checkpoint)
    if not evaluations:
        found.append("Nobody has evaluated it, so nothing is known of how good it is.")
    elif not any(one.split == "test" for one in evaluations):
        found.append("It was not evaluated on held-out test questions.")
    version = checkpoint.run.dataset
    overlap = version.counts.get("overlap", {}).get("questions", 0) if version else 0
    if overlap:
        found.append(f"{overlap:,} training questions share a long passage with a test question.")
    unread = [one.model.name for one in lineage.writers if not one.read]
    if unread:
        found.append(f"The method's settings left out what these wrote: {', '.join(unread)}.")
    return "\n".join(f"- {words}" for words in found)


def reproduce(checkpoint: Checkpoint, lineage: CheckpointLineage) -> str:
    """The command of each training, the first one first."""
    runs = Run.objects.select_related("student", "dataset", "project").in_bulk(
        [one.run for one in lineage.generations]
    )
    commands = [command_for(runs[one.run]) for one in reversed(lineage.generations)]
    return (
        "In the project with these versions, one after the other:\n\n```\n"
        + "\n".join(commands)
        + "\n```\n\nWith the same threads on the same kind of CPU the engine ends with the "
        "same weights, bit for bit; on a GPU to within rounding."
    )


def command_for(run: Run) -> str:
    """The `manage.py launch` that does the same training."""
    given = [f"{key}={json.dumps(value)}" for key, value in changed_settings(run).items()]
    model = run.student
    named = f"{model.name}@{model.revision}" if model and model.revision else str(model)
    return shlex.join(
        [
            *("python", "manage.py", "launch", run.project.slug, "train", "--method", run.method),
            *("--model", named),
            *(("--dataset", str(run.dataset.number)) if run.dataset else ()),
            *[part for pair in given for part in ("--set", pair)],
            *("--seed", str(run.seed), "--wait"),
        ]
    )
