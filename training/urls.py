from django.urls import path

from training.views import evaluations, exports, runs, versions, workers

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
    path("p/<slug:slug>/runs/", runs.run_list, name="runs"),
    path("p/<slug:slug>/runs/new/", runs.run_new, name="run-new"),
    path("p/<slug:slug>/runs/<int:pk>/", runs.run_page, name="run"),
    path("p/<slug:slug>/runs/<int:pk>/metrics/", runs.run_metrics, name="run-metrics"),
    path("p/<slug:slug>/runs/<int:pk>/cancel/", runs.run_cancel, name="run-cancel"),
    path("p/<slug:slug>/evaluations/", evaluations.evaluation_list, name="evaluations"),
    path("p/<slug:slug>/evaluations/<int:pk>/", evaluations.evaluation_page, name="evaluation"),
    path("p/<slug:slug>/workers/", workers.worker_list, name="workers"),
]
