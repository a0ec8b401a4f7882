from django.urls import path

from curation.views import projects

urlpatterns = [
    path("", projects.project_list, name="projects"),
    path("p/<slug:slug>/", projects.project_home, name="project"),
]
