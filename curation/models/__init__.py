from curation.models.job import Job, JobKind, JobStatus
from curation.models.judgement import (
    Comment,
    Decision,
    Place,
    Ranking,
    Review,
    StepLabel,
    StepQuality,
)
from curation.models.language_model import LanguageModel, Provider
from curation.models.people import Membership, Project, Role, User
from curation.models.question import AnswerKind, Question, Split, text_hash
from curation.models.queue import Asked, Assignment, AssignmentStatus, Ordering, Queue, QueueItem
from curation.models.rationale import Rationale, RationaleRole, Score, content_hash, draw_key
from curation.models.version import DatasetItem, DatasetVersion

__all__ = [
    "AnswerKind",
    "Asked",
    "Assignment",
    "AssignmentStatus",
    "Comment",
    "DatasetItem",
    "DatasetVersion",
    "Decision",
    "Job",
    "JobKind",
    "JobStatus",
    "LanguageModel",
    "Membership",
    "Ordering",
    "Place",
    "Project",
    "Provider",
    "Question",
    "Queue",
    "QueueItem",
    "Ranking",
    "Rationale",
    "RationaleRole",
    "Review",
    "Role",
    "Score",
    "Split",
    "StepLabel",
    "StepQuality",
    "User",
    "content_hash",
    "draw_key",
    "text_hash",
]
