import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("training", "0006_hosts")]

    operations = [
        migrations.CreateModel(
            name="RunAttempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveSmallIntegerField()),
                ("host", models.CharField(max_length=100)),
                ("price", models.FloatField(null=True)),
                ("currency", models.CharField(max_length=20)),
                ("started_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attempts",
                        to="training.run",
                    ),
                ),
            ],
            options={
                "ordering": ["number"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "number"), name="a_run_has_each_attempt_once"
                    ),
                    models.CheckConstraint(
                        condition=Q(price=None) | Q(price__gt=0),
                        name="an_hour_has_a_price_or_it_is_not_known",
                    ),
                ],
            },
        )
    ]
