from django.urls import path

from training.views import evaluations, runs, workers

urlpatterns = [
    path("p/<slug:slug>/runs/", runs.run_list, name="runs"),
    path("p/<slug:slug>/runs/new/", runs.run_new, name="run-new"),
    path("p/<slug:slug>/runs/<int:pk>/", runs.run_page, name="run"),
    path("p/<slug:slug>/runs/<int:pk>/metrics/", runs.run_metrics, name="run-metrics"),
    path("p/<slug:slug>/runs/<int:pk>/cancel/", runs.run_cancel, name="run-cancel"),
    path("p/<slug:slug>/evaluations/", evaluations.evaluation_list, name="evaluations"),
    path("p/<slug:slug>/evaluations/<int:pk>/", evaluations.evaluation_page, name="evaluation"),
    path("p/<slug:slug>/workers/", workers.worker_list, name="workers"),
]
