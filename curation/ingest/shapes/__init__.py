"""The shapes of file that need no mapping. To add one, write one file and name it in SHAPES."""

from __future__ import annotations

from curation.ingest.record import Row
from curation.ingest.shapes import gsm8k, model_solutions, plain, teacher_and_student
from curation.ingest.shapes.base import Shape

# The first that recognises the first rows is taken: the particular before the general.
SHAPES: tuple[Shape, ...] = (
    model_solutions.ModelSolutions(),
    teacher_and_student.TeacherAndStudent(),
    gsm8k.Gsm8k(),
    plain.Plain(),
)


def detect(rows: list[Row]) -> Shape | None:
    """The shape of a file, by its first rows: those that could be read must mostly agree."""
    readable = [row.fields for row in rows if not row.problem]
    for shape in SHAPES:
        agreeing = sum(shape.recognises(fields) for fields in readable)
        if readable and agreeing * 10 >= len(readable) * 8:
            return shape
    return None


def shape_named(name: str) -> Shape | None:
    return next((shape for shape in SHAPES if shape.name == name), None)
