from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("training", "0007_run_attempts")]

    operations = [
        migrations.CreateModel(
            name="Scored",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("up_to", models.PositiveBigIntegerField(default=0)),
                ("seen", models.PositiveBigIntegerField(default=0)),
                ("seen_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=Q(pk=1), name="what_is_scored_is_one_row"),
                    models.CheckConstraint(
                        condition=Q(up_to__lte=F("seen")), name="what_is_scored_was_seen_before"
                    ),
                ],
            },
        )
    ]
