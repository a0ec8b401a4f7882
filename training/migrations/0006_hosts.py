from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0005_webhooks")]

    operations = [
        migrations.AddField("worker", "address", models.CharField(blank=True, max_length=60)),
        migrations.AddField("worker", "clock_ahead", models.FloatField(null=True)),
        migrations.AddField("worker", "memory_used_bytes", models.BigIntegerField(null=True)),
    ]
