#!/usr/bin/env python
"""The command line. Without DATABASE_URL it uses the embedded PostgreSQL in var/."""

import os
import sys

NEEDS_NO_DATABASE = {"help", "--help", "--version", "collectstatic", "compilemessages"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        from config.embedded import provide_database

        if len(sys.argv) > 1 and sys.argv[1] not in NEEDS_NO_DATABASE:
            provide_database()
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
