import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

KINDS = [
    ("generate", "Generate"),
    ("score", "Score"),
    ("judge", "Judge"),
    ("train", "Train"),
    ("evaluate", "Evaluate"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("curation", "0004_finding_and_audit"),
        ("training", "0002_launching_and_watching"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="run", name="a_run_has_a_known_kind"),
        migrations.AlterField(
            model_name="run",
            name="kind",
            field=models.CharField(choices=KINDS, max_length=8),
        ),
        migrations.AlterField(
            model_name="runevent",
            name="kind",
            field=models.CharField(choices=KINDS, max_length=8),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.CheckConstraint(
                condition=models.Q(kind__in=[kind for kind, _ in KINDS]),
                name="a_run_has_a_known_kind",
            ),
        ),
        migrations.CreateModel(
            name="JudgeVerdict",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "version",
                    models.CharField(
                        help_text="As in `Score.scorer_version`: mode, prompt, sampling.",
                        max_length=40,
                    ),
                ),
                (
                    "rationales",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        help_text="What was judged, by id.",
                        size=None,
                    ),
                ),
                ("asked", models.PositiveIntegerField()),
                ("parsed", models.PositiveIntegerField(help_text="Replies that had a verdict.")),
                ("detail", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "question",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="judge_verdicts",
                        to="curation.question",
                    ),
                ),
                (
                    "ranking",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="verdict",
                        to="curation.ranking",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="verdicts",
                        to="training.run",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "question"), name="a_run_judges_a_question_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("parsed__lte", models.F("asked"))),
                        name="a_verdict_answers_what_was_asked",
                    ),
                ],
            },
        ),
    ]
