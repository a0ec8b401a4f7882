import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from config.store import in_haste

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
in_haste(settings.ARTIFACTS_URL)
