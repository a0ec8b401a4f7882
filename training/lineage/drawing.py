"""The two lineages as pictures: which boxes there are, and what leads to what.

A picture shows the way, the tables beside it everything: of long rows a picture keeps the first,
and one box more says how many there are besides.
"""

from __future__ import annotations

from django.urls import reverse

from curation.wording import counted
from training.lineage.checkpoint import CheckpointLineage, Generation, Model, Version
from training.lineage.picture import Box, Picture
from training.lineage.rationale import Holding, RationaleLineage, Reached, Trained

WRITERS, VERSIONS, RUNS = 4, 5, 12


def picture_of_checkpoint(lineage: CheckpointLineage) -> Picture:
    """From teachers, people and the base model down to the checkpoint."""
    picture, slug = Picture(), lineage.project
    for generation in reversed(lineage.generations):
        written = _checkpoint(picture, slug, generation)
        if generation.begun_from:
            start = _model(picture, slug, generation.begun_from, "base model")
            picture.line(start, written, "is where the training begins of")
        if generation.version:
            version = _version(picture, slug, generation.version)
            picture.line(version, written, "is what was learnt from by")
    for box in picture.boxes:
        if box.key == f"model-{lineage.generations[0].model.id}":
            box.mark, box.url = "here", ""
    return picture.laid_out()


def _checkpoint(picture: Picture, slug: str, one: Generation) -> Box:
    about = f"{one.method} · run {one.run} · step {one.step}"
    url = reverse("run", args=[slug, one.run])
    box = Box(f"model-{one.model.id}", "checkpoint", one.model.name, about, url)
    return picture.box(box)


def _model(picture: Picture, slug: str, model: Model, about: str) -> Box:
    url = reverse("checkpoint-lineage", args=[slug, model.checkpoint]) if model.checkpoint else ""
    return picture.box(Box(f"model-{model.id}", "source", model.name, about, url))


def _version(picture: Picture, slug: str, version: Version) -> Box:
    """The version with everybody who had a hand in it."""
    key = f"version-{version.number}"
    known = next((box for box in picture.boxes if box.key == key), None)
    if known:
        return known
    title = f"Version {version.number} {version.name}".strip()
    about = f"{counted(version.rationales, 'rationale')}, {version.selection}"
    url = reverse("version", args=[slug, version.number])
    box = picture.box(Box(key, "version", title, about, url))
    models = [(part.model, part.rationales) for part in version.parts if part.model]
    for model, count in models[:WRITERS]:
        writer = _model(picture, slug, model, counted(count, "rationale"))
        picture.line(writer, box, f"wrote {counted(count, 'rationale')} of")
    if len(models) > WRITERS:
        rest = len(models) - WRITERS
        more = picture.box(Box(f"more-{key}", "source", f"{rest} more models"))
        picture.line(more, box, "wrote rationales of")
    _judges(picture, version, box)
    return box


def _judges(picture: Picture, version: Version, box: Box) -> None:
    by_people = sum(part.rationales for part in version.parts if part.model is None)
    if version.people or version.accepted or by_people:
        title = counted(version.people, "person", "people") if version.people else "People"
        said = [
            (version.rankings, "ranking", "rankings"),
            (version.accepted, "accepted", "accepted"),
            (by_people, "written", "written"),
        ]
        about = ", ".join(counted(*what) for what in said if what[0])
        people = picture.box(Box(f"people-{version.number}", "people", title, about))
        picture.line(people, box, f"had a hand ({about}) in")
    if version.judges:
        title = counted(version.judges, "judge model", "judge models")
        judge = picture.box(Box(f"judge-{version.number}", "judge", title, "ranked"))
        picture.line(judge, box, "judged rationales of")


def picture_of_rationale(lineage: RationaleLineage) -> Picture:
    """From the rationale and its judges down to the answers of the checkpoints it reached."""
    picture, slug = Picture(), lineage.project
    here = _rationale(picture, lineage)
    for holding in lineage.holding[:VERSIONS]:
        version = _holding(picture, slug, holding)
        picture.line(here, version, f"is in line {holding.row} of")
    if len(lineage.holding) > VERSIONS:
        rest = len(lineage.holding) - VERSIONS
        more = picture.box(Box("more-versions", "version", f"{rest} more versions"))
        picture.line(here, more, "is in")
    for run in lineage.runs[:RUNS]:
        _trained(picture, slug, lineage, run)
    if len(lineage.runs) > RUNS:
        rest = len(lineage.runs) - RUNS
        more = picture.box(Box("more-runs", "run", f"{rest} more runs", "in the table below"))
        picture.line(here, more, "reached")
    return picture.laid_out()


def _rationale(picture: Picture, lineage: RationaleLineage) -> Box:
    about = f"{lineage.role}, {lineage.author}"
    here = picture.box(
        Box("here", "rationale", f"Rationale {lineage.rationale}", _short(about), mark="here")
    )
    if lineage.revises:
        url = reverse("rationale-lineage", args=[lineage.project, lineage.revises])
        old = picture.box(Box("old", "rationale", f"Rationale {lineage.revises}", "", url))
        picture.line(old, here, "was corrected into")
    said = [one for one in lineage.judgements if one.kind != "score" and one.stands]
    if said:
        title = f"Judged by {len({one.by for one in said})}"
        kinds = {kind: sum(one.kind == kind for one in said) for kind in ("ranking", "review")}
        about = ", ".join(counted(n, kind) for kind, n in kinds.items() if n)
        people = picture.box(Box("people", "people", title, about))
        picture.line(people, here, "judged")
    return here


def _holding(picture: Picture, slug: str, holding: Holding) -> Box:
    title = f"Version {holding.number} {holding.name}".strip()
    about = f"line {holding.row}, {holding.part} part"
    url = reverse("version", args=[slug, holding.number])
    return picture.box(Box(f"version-{holding.number}", "version", title, about, url))


def _trained(picture: Picture, slug: str, lineage: RationaleLineage, run: Trained) -> None:
    """The run's checkpoints under what it learnt from and began from."""
    above = [f"version-{run.version}"] if run.distance == 0 else []
    causes = [box for box in picture.boxes if box.key in above]
    causes += [box for box in picture.boxes if box.kind == "checkpoint" and _begins(box, run)]
    url = reverse("run", args=[slug, run.run])
    if not run.checkpoints:
        about = f"{run.method}, {run.status}"
        boxes = [picture.box(Box(f"run-{run.run}", "run", run.title, about, url, mark="left"))]
    else:
        boxes = [_reached(picture, slug, run, one) for one in run.checkpoints]
    for box in boxes:
        for cause in causes:
            learnt = (
                "is what was learnt from by" if cause.kind == "version" else "was trained on to"
            )
            picture.line(cause, box, learnt)


def _begins(box: Box, run: Trained) -> bool:
    """Whether the run began from the checkpoint of the box."""
    return run.begun_from_model is not None and box.key == f"model-{run.begun_from_model}"


def _reached(picture: Picture, slug: str, run: Trained, one: Reached) -> Box:
    url = reverse("checkpoint-lineage", args=[slug, one.checkpoint])
    about = f"{run.method} · step {one.step}"
    box = picture.box(Box(f"model-{one.model_id}", "checkpoint", one.model, about, url))
    if one.flip.after:
        about = f"answers {one.flip.after.answer}" if one.flip.after.answer else ""
        url = reverse("evaluation", args=[slug, one.flip.after.evaluation])
        key = f"answer-{one.checkpoint}"
        result = picture.box(Box(key, "result", one.flip.words, _short(about), url))
        picture.line(box, result, "was asked the question:")
    return box


def _short(text: str, length: int = 27) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
