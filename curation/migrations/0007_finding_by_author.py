import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Lists by author and by role begin at their first row, however late it was written."""

    dependencies = [("curation", "0006_reviews_outside_queues")]

    operations = [
        migrations.AlterField(
            model_name="rationale",
            name="author_model",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="rationales",
                to="curation.languagemodel",
            ),
        ),
        migrations.AddIndex(
            model_name="rationale",
            index=models.Index(
                fields=["author_model", "id", "question"], name="rationales_of_an_author"
            ),
        ),
        migrations.AddIndex(
            model_name="rationale",
            index=models.Index(
                condition=models.Q(("role", "teacher"), _negated=True),
                fields=["role", "id", "question"],
                name="rationales_no_teacher_wrote",
            ),
        ),
    ]
