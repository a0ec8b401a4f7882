from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from health_check.views import HealthCheckView

healthy = login_not_required(HealthCheckView.as_view(checks=["health_check.Database"]))

urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path("health/", healthy, name="health"),
    path("", include("django_prometheus.urls")),
    path("", include("curation.urls")),
    path("", include("training.urls")),
]
