from curation.models.adjudication import Adjudication
from curation.models.agreement import Figure, Measure, Window
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
from curation.models.queue import (
    Asked,
    Assignment,
    AssignmentStatus,
    Gold,
    Ordering,
    Queue,
    QueueItem,
    QueuePerson,
    Tally,
)
from curation.models.rationale import Rationale, RationaleRole, Score, content_hash, draw_key
from curation.models.tag import QuestionTag, RationaleTag, Tag
from curation.models.version import DatasetItem, DatasetVersion
from curation.models.words import Words

__all__ = [
    "Adjudication",
    "AnswerKind",
    "Asked",
    "Assignment",
    "AssignmentStatus",
    "Comment",
    "DatasetItem",
    "DatasetVersion",
    "Decision",
    "Figure",
    "Gold",
    "Job",
    "JobKind",
    "JobStatus",
    "LanguageModel",
    "Measure",
    "Membership",
    "Ordering",
    "Place",
    "Project",
    "Provider",
    "Question",
    "QuestionTag",
    "Queue",
    "QueueItem",
    "QueuePerson",
    "Ranking",
    "Rationale",
    "RationaleRole",
    "RationaleTag",
    "Review",
    "Role",
    "Score",
    "Split",
    "StepLabel",
    "StepQuality",
    "Tag",
    "Tally",
    "User",
    "Window",
    "Words",
    "content_hash",
    "draw_key",
    "text_hash",
]
