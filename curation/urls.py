from django.urls import path

from curation.views import imports, jobs, members, models, projects, questions, queues, review

urlpatterns = [
    path("", projects.project_list, name="projects"),
    path("new/", projects.project_new, name="project-new"),
    path("p/<slug:slug>/", projects.project_home, name="project"),
    path("p/<slug:slug>/settings/", projects.project_settings, name="project-settings"),
    path("p/<slug:slug>/questions/", questions.question_list, name="questions"),
    path("p/<slug:slug>/questions/<int:pk>/", questions.question_page, name="question"),
    path("p/<slug:slug>/members/", members.member_list, name="members"),
    path("p/<slug:slug>/members/<int:pk>/role/", members.member_role, name="member-role"),
    path("p/<slug:slug>/members/<int:pk>/remove/", members.member_remove, name="member-remove"),
    path("p/<slug:slug>/queues/", queues.queue_list, name="queues"),
    path("p/<slug:slug>/queues/new/", queues.queue_new, name="queue-new"),
    path("p/<slug:slug>/queues/preview/", queues.queue_preview, name="queue-preview"),
    path("p/<slug:slug>/queues/<int:pk>/", queues.queue_page, name="queue"),
    path("p/<slug:slug>/queues/<int:pk>/open/", queues.queue_open, name="queue-open"),
    path("p/<slug:slug>/queues/<int:pk>/fill/", queues.queue_fill, name="queue-fill"),
    path("p/<slug:slug>/queues/<int:pk>/review/", review.review, name="review"),
    path("p/<slug:slug>/queues/<int:pk>/review/mine/", review.review_mine, name="review-mine"),
    path(
        "p/<slug:slug>/queues/<int:pk>/review/<int:assignment_pk>/",
        review.review_item,
        name="review-item",
    ),
    path(
        "p/<slug:slug>/queues/<int:pk>/review/<int:assignment_pk>/skip/",
        review.review_skip,
        name="review-skip",
    ),
    path(
        "p/<slug:slug>/queues/<int:pk>/review/<int:assignment_pk>/draft/",
        review.review_draft,
        name="review-draft",
    ),
    path("p/<slug:slug>/review-layout/", review.review_layout, name="review-layout"),
    path("p/<slug:slug>/import/", imports.import_new, name="import"),
    path("p/<slug:slug>/import/<str:ticket>/", imports.import_preview, name="import-preview"),
    path("p/<slug:slug>/jobs/", jobs.job_list, name="jobs"),
    path("p/<slug:slug>/jobs/<int:pk>/", jobs.job_page, name="job"),
    path("p/<slug:slug>/jobs/<int:pk>/cancel/", jobs.job_cancel, name="job-cancel"),
    path("p/<slug:slug>/jobs/<int:pk>/again/", jobs.job_again, name="job-again"),
    path("p/<slug:slug>/jobs/<int:pk>/file/", jobs.job_file, name="job-file"),
    path("p/<slug:slug>/models/", models.model_list, name="models"),
    path("p/<slug:slug>/models/new/", models.model_new, name="model-new"),
    path("p/<slug:slug>/models/<int:pk>/", models.model_page, name="model"),
]
