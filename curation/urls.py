from django.urls import path

from curation.views import projects, queues, review

urlpatterns = [
    path("", projects.project_list, name="projects"),
    path("p/<slug:slug>/", projects.project_home, name="project"),
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
]
