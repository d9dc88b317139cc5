"""The least that Django needs."""

ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.services.django_app"
SECRET_KEY = "only for this test"
MIDDLEWARE: list[str] = []
INSTALLED_APPS: list[str] = []
