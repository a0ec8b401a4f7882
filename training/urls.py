from django.urls import path

from training.views import (
    checkpoints,
    compare,
    evaluations,
    experiments,
    exports,
    judges,
    launching,
    lineage,
    runs,
    versions,
    webhooks,
    workers,
)

urlpatterns = [
    path("p/<slug:slug>/versions/", versions.version_list, name="versions"),
    path("p/<slug:slug>/versions/new/", versions.version_new, name="version-new"),
    path("p/<slug:slug>/versions/preview/", versions.version_preview, name="version-preview"),
    path("p/<slug:slug>/versions/<int:number>/", versions.version_page, name="version"),
    path("p/<slug:slug>/versions/<int:number>/file/", versions.version_file, name="version-file"),
    path(
        "p/<slug:slug>/versions/<int:number>/left-out/",
        versions.version_left_out,
        name="version-left-out",
    ),
    path(
        "p/<slug:slug>/versions/<int:number>/exports/",
        exports.version_exports,
        name="version-exports",
    ),
    path(
        "p/<slug:slug>/versions/<int:number>/exports/<slug:name>/",
        exports.export_new,
        name="export-new",
    ),
    path("p/<slug:slug>/experiments/", experiments.experiment_list, name="experiments"),
    path("p/<slug:slug>/experiments/new/", experiments.experiment_new, name="experiment-new"),
    path("p/<slug:slug>/experiments/<int:pk>/", experiments.experiment_page, name="experiment"),
    path("p/<slug:slug>/experiments/<int:pk>/do/", experiments.experiment_do, name="experiment-do"),
    path("p/<slug:slug>/runs/", runs.run_list, name="runs"),
    path("p/<slug:slug>/runs/new/", launching.run_new, name="run-new"),
    path("p/<slug:slug>/runs/rehearse/", launching.run_rehearse, name="run-rehearse"),
    path("p/<slug:slug>/runs/presets/", launching.preset_list, name="presets"),
    path("p/<slug:slug>/runs/presets/save/", launching.preset_save, name="preset-save"),
    path(
        "p/<slug:slug>/runs/presets/<int:pk>/remove/",
        launching.preset_remove,
        name="preset-remove",
    ),
    path("p/<slug:slug>/runs/rehearsals/<int:pk>/", launching.rehearsal_page, name="rehearsal"),
    path(
        "p/<slug:slug>/runs/rehearsals/<int:pk>/launch/",
        launching.rehearsal_launch,
        name="rehearsal-launch",
    ),
    path("p/<slug:slug>/runs/compare/", compare.run_compare, name="run-compare"),
    path(
        "p/<slug:slug>/runs/compare/curves/",
        compare.run_compare_curves,
        name="run-compare-curves",
    ),
    path(
        "p/<slug:slug>/runs/compare/evaluations.csv",
        compare.run_compare_file,
        name="run-compare-file",
    ),
    path("p/<slug:slug>/runs/<int:pk>/", runs.run_page, name="run"),
    path("p/<slug:slug>/runs/<int:pk>/metrics/", runs.run_metrics, name="run-metrics"),
    path("p/<slug:slug>/runs/<int:pk>/cancel/", runs.run_cancel, name="run-cancel"),
    path("p/<slug:slug>/runs/<int:pk>/resume/", runs.run_resume, name="run-resume"),
    path("p/<slug:slug>/runs/<int:pk>/log.txt", runs.run_log_file, name="run-log"),
    path("p/<slug:slug>/runs/<int:pk>/preset/", launching.preset_of_run, name="run-preset"),
    path("p/<slug:slug>/evaluations/", evaluations.evaluation_list, name="evaluations"),
    path("p/<slug:slug>/evaluations/<int:pk>/", evaluations.evaluation_page, name="evaluation"),
    path("p/<slug:slug>/judges/", judges.judge_list, name="judges"),
    path(
        "p/<slug:slug>/rationales/<int:pk>/lineage/",
        lineage.rationale_lineage,
        name="rationale-lineage",
    ),
    path(
        "p/<slug:slug>/checkpoints/<int:pk>/download/",
        checkpoints.checkpoint_download,
        name="checkpoint-download",
    ),
    path(
        "p/<slug:slug>/checkpoints/<int:pk>/lineage/",
        lineage.checkpoint_lineage,
        name="checkpoint-lineage",
    ),
    path(
        "p/<slug:slug>/checkpoints/<int:pk>/card/", lineage.checkpoint_card, name="checkpoint-card"
    ),
    path("p/<slug:slug>/notices/", webhooks.notices, name="notices"),
    path("p/<slug:slug>/webhooks/", webhooks.webhooks, name="webhooks"),
    path("p/<slug:slug>/webhooks/<int:pk>/", webhooks.webhook_page, name="webhook"),
    path("p/<slug:slug>/webhooks/<int:pk>/secret/", webhooks.webhook_secret, name="webhook-secret"),
    path("p/<slug:slug>/webhooks/<int:pk>/switch/", webhooks.webhook_switch, name="webhook-switch"),
    path("p/<slug:slug>/webhooks/<int:pk>/test/", webhooks.webhook_test, name="webhook-test"),
    path("p/<slug:slug>/webhooks/<int:pk>/remove/", webhooks.webhook_remove, name="webhook-remove"),
    path(
        "p/<slug:slug>/deliveries/<int:pk>/again/", webhooks.delivery_again, name="delivery-again"
    ),
    path("p/<slug:slug>/workers/", workers.worker_list, name="workers"),
]
